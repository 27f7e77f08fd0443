"""Containment of instances behind load balancers."""
