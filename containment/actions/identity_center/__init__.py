"""Containment of people who sign in by IAM Identity Center."""
