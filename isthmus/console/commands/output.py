"""How commands print: for people on a terminal, whole lines for everything else, JSON for scripts."""

from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from isthmus.codec import json_bytes

WIDE = 4000
"""Columns where no terminal says how many there are: a cell that is cut off cannot be searched for."""


def console() -> Console:
    """Give a console on stdout. Keys and reasons come from outside, so nothing in them is taken for markup."""
    found = Console(highlight=False, markup=False, emoji=False)
    return found if found.is_terminal else Console(highlight=False, markup=False, emoji=False, width=WIDE)


def title(text: str) -> Text:
    """Give a text that stands out."""
    return Text(text, style="bold")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Give a table whose cells are folded where the terminal is narrow, and never cut."""
    made = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def print_json(value: Any) -> None:
    """Print one JSON value, its numbers exact, as one line."""
    click.echo(json_bytes(value))
