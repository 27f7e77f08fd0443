"""Containment of DynamoDB tables."""
