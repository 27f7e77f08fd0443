"""Containment of access to Kubernetes clusters of EKS."""
