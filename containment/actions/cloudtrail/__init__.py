"""The record of calls, put back on."""
