"""`isthmus trace`."""

import click


@click.command()
def trace() -> int:
    """Trace."""
    return 0
