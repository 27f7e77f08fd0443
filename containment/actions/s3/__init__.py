"""Containment of S3 buckets and their objects."""
