"""Containment of domain names by Route 53 Resolver DNS Firewall."""
