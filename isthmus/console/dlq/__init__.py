"""The dead-letter queue, for the composition roots and for people."""
