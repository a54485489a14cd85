"""Events: an account from which every posting of an append-only table is deducted once."""
