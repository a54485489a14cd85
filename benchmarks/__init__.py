"""Side-by-side figures: ours and the alternative in one run, interleaved, as a ratio."""
