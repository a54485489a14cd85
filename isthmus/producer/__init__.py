"""Detects modifications in the back office, translates them and publishes them in order."""
