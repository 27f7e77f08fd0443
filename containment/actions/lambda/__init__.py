"""Lambda functions: how often they run, what starts them, and evidence of them."""
