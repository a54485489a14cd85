"""Options that the parts of `isthmus parked` share: which keys, and who says so."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, NamedTuple

import click
from rich.console import Console

from isthmus.clock import SystemClock, from_rfc3339
from isthmus.console.commands.output import WIDE
from isthmus.console.wiring import source_attribute
from isthmus.consumer.stores.lot import LotReader, Selection, Waiting
from isthmus.settings import Settings

_AGO: Final = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PAGE: Final = 100


def moment(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """Give the milliseconds since 1970 for RFC 3339 text, or for how long ago, as in 2h."""
    if value is None:
        return None
    ago = _AGO.fullmatch(value)
    if ago is not None:
        return SystemClock().now_ms() - int(ago[1]) * _UNITS_MS[ago[2]]
    try:
        return from_rfc3339(value)
    except (ValueError, OverflowError):
        allowed = "give RFC 3339, as 2013-01-31T08:00:00Z, or how long ago, as 30m, 2h, 7d"
        raise click.BadParameter(f"{value!r} is no moment: {allowed}.") from None


class Chosen(NamedTuple):
    """Which keys were asked for."""

    selection: Selection
    everything: bool
    """Whether --all was said."""

    @property
    def said(self) -> bool:
        """Whether anything was said of them."""
        return self.everything or self.selection != Selection()

    def of(self, settings: Settings) -> Selection:
        """Give the selection as the parking lot knows it: a source by the name that its changes carry."""
        source = self.selection.source
        if source in settings.sources:
            return self.selection._replace(source=source_attribute(settings.application, source))
        return self.selection


def choosing(function: Callable[..., int]) -> Callable[..., int]:
    """Add the options that choose keys; the function gets them as `chosen`."""

    @wraps(function)
    def collected(  # noqa: PLR0917 - click gives options by name
        key: str | None,
        prefix: str | None,
        reason: str | None,
        source: str | None,
        since: int | None,
        until: int | None,
        *,
        everything: bool,
        **others: Any,
    ) -> int:
        selection = Selection(key, prefix, reason, source, since, until)
        if everything and selection != Selection():
            raise click.UsageError("--all is all of them: leave the other options out, or --all.")
        return function(chosen=Chosen(selection, everything), **others)

    made: Callable[..., int] = collected
    for option in (
        click.option("--all", "everything", is_flag=True, help="All keys."),
        click.option("--until", metavar="MOMENT", callback=moment, help="First parked before this moment; as --since."),
        click.option(
            "--since",
            metavar="MOMENT",
            callback=moment,
            help="First parked then or later: 2h (ago), or 2013-01-31T08:00:00Z.",
        ),
        click.option("--source", metavar="SOURCE", help="With a change of this source, by its name in the settings."),
        click.option("--reason", metavar="WORD", help="With a change that is parked for this reason."),
        click.option("--prefix", metavar="TEXT", help="Keys that begin so."),
        click.option("--key", metavar="KEY", help="Only this entity key."),
    ):
        made = option(made)
    return made


def find(lot: LotReader, key: str, txn: str) -> Waiting | None:
    """Find a change of a key by its transaction ID."""
    skip = 0
    while found := lot.parked_of(key, skip=skip, most=_PAGE):
        for waiting in found:
            if waiting.txn == txn:
                return waiting
        skip += len(found)
    return None


def agreed(question: str, hint: str = "Nothing was changed. With --yes nobody is asked.") -> bool:
    """Ask on stderr; say what a no means."""
    answer = False
    try:
        answer = click.confirm(question, err=True)
    finally:
        if not answer:
            click.echo(hint, err=True)
    return answer


def beside() -> Console:
    """Give a console on stderr, whose lines are whole where no terminal shows them."""
    found = Console(stderr=True, highlight=False, markup=False, emoji=False)
    return found if found.is_terminal else Console(stderr=True, highlight=False, markup=False, emoji=False, width=WIDE)


def keys_in_words(number: int) -> str:
    """Give a number of keys in words."""
    return "1 key" if number == 1 else f"{number:,} keys"


def changes_in_words(number: int) -> str:
    """Give a number of changes in words."""
    return "1 change" if number == 1 else f"{number:,} changes"
