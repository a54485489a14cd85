"""The embedded front-office store."""
