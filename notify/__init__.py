"""THE BELL: who has to know, and whether they do."""
