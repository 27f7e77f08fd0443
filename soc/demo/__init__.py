"""The demo: people, accounts and a plausible past; never on an installation in use."""
