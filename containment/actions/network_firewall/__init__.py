"""Containment of addresses by AWS Network Firewall."""
