"""Containment of VPC subnets by their network ACLs."""
