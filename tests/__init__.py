"""The test suite. Mirrors the packages; `make.py` holds factories, `needs.py` what a machine must have."""
