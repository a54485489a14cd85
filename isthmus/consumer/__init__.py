"""Reads the stream, decides about every change in the front-office store, parks what can never be applied."""
