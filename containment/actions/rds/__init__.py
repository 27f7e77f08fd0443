"""Databases of RDS and Aurora, and their snapshots."""
