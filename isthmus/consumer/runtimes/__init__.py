"""What drives the consumers."""
