"""Containment of SQS queues."""
