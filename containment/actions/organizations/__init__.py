"""Containment of whole accounts and units by AWS Organizations."""
