"""Leaves: what every package may use and what uses none of them. No models here."""
