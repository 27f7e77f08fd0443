"""The test suite. Mirrors the packages; `make.py` holds the factories, `needs.py` what tests need from a machine."""
