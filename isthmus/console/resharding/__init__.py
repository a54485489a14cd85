"""Resharding as an operation: a plan, its steps one by one, the wait for the parents, and advice from loads."""
