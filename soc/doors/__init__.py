"""Doors outside the API prefix: each speaks the language of the tool that posts there."""
