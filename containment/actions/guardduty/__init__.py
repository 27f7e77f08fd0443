"""What GuardDuty is told about its findings."""
