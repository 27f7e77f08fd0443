"""Containment of EC2 instances, and evidence from them."""
