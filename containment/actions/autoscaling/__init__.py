"""Containment of instances that an Auto Scaling group keeps."""
