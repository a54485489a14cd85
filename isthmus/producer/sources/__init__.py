"""Feeds of a back-office system."""
