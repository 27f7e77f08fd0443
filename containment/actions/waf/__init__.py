"""Containment at the edge, by AWS WAF."""
