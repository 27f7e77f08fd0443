"""Containment of secrets."""
