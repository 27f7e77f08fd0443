"""The ledger as auditors use it: who may see which event, the page, the export, and the proof by the hour.

It stands above the packages whose acts the ledger holds, for only they know of which team an object is.
"""
