"""Containment of SNS topics."""
