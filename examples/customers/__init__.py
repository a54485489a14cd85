"""The smallest pipeline: one legacy table of customers."""
