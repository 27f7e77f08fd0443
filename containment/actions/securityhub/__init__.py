"""What Security Hub is told about its findings."""
