"""Containment of KMS keys."""
