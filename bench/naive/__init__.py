"""What anyone would write in an afternoon with REST framework: the measure of our own doors."""
