"""Pipelines that run."""
