"""Evidence from logs that have to be turned on first."""
