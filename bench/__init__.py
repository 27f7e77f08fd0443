"""Measured, repeatable figures: ratios of one run on one machine (DESIGN §12). `./quell bench`."""
