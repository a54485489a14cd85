"""How far it is, on a terminal as a bar, elsewhere as a line now and then, for a script not at all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from isthmus.clock import Clock

_LINE_EVERY: Final = 5.0
"""Seconds between two lines where no terminal shows a bar."""

Tell = Callable[[str, int, int], None]
"""Shows what happens, in words, and how many of how many are done."""


@contextmanager
def showing(out: Console, clock: Clock, *, quiet: bool) -> Iterator[Tell]:
    """Show it as long as this lasts."""
    if quiet:
        yield lambda _words, _done, _of: None
    elif out.is_terminal:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=out, transient=True) as bars:
            task = bars.add_task("", total=None)
            yield lambda words, done, of: bars.update(task, description=words, completed=done, total=of)
    else:
        yield _lines(clock, out)


def _lines(clock: Clock, out: Console) -> Tell:
    last, due = "", 0.0

    def tell(words: str, done: int, of: int) -> None:
        nonlocal last, due
        line = "; ".join(part for part in (f"{done} of {of}" if of else "", words) if part)
        if line and line != last and clock.monotonic() >= due:
            out.print(line)
            last, due = line, clock.monotonic() + _LINE_EVERY

    return tell
