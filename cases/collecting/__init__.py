"""Going to AWS for alerts: messages of queues, objects that were delivered, findings that are asked for.

Runs in worker-collect and in management commands; only they have AWS credentials.
"""
