"""Several processes, or threads, that write lines into one log. Imports nothing but the standard library."""

import io
from typing import TextIO


def write_whole_lines(stream: TextIO) -> None:
    """See that a line goes out with its end, in one write.

    Unbuffered, as in many containers (PYTHONUNBUFFERED), a line and its end are two writes, and somebody else's line
    gets between them. Safe to repeat.
    """
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(line_buffering=True, write_through=False)
