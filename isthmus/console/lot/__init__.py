"""The operator's way to the parking lot: what `isthmus parked` does."""
