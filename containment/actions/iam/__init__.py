"""Containment of IAM principals and credentials."""
