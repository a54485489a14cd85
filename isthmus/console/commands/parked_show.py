"""`isthmus parked show`: what waits of one key, and why."""

from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from textwrap import indent
from typing import Any, Final

import click

from isthmus.console.commands.options import config_option, json_option
from isthmus.console.commands.output import console, print_json, title
from isthmus.console.commands.parked_options import changes_in_words
from isthmus.console.exits import Exit
from isthmus.console.lot.opening import remaking
from isthmus.console.lot.remaking import Remaking
from isthmus.console.lot.telling import as_json as told
from isthmus.console.lot.telling import change_as_json, content_of, cut, pretty, verb_of, version_in_words
from isthmus.console.lot.walking import changes_of, keys_of
from isthmus.console.wiring import Wiring, lot_of
from isthmus.consumer.stores.lot import Selection, Waiting
from isthmus.errors import Poison
from isthmus.settings import load

_LINES: Final = 40
_WIDE: Final = 200
"""How much of a row or of data is shown without --full."""


@click.command()
@click.argument("key", metavar="KEY")
@config_option
@json_option
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="How many changes to show.")
@click.option("--full", is_flag=True, help="Cut nothing, however large.")
@click.option("--try", "attempt", is_flag=True, help="Show what would become of each with the translator of now.")
def show(key: str, config: Path, *, as_json: bool, limit: int, full: bool, attempt: bool) -> int:
    r"""Show what waits of KEY, in its order: why, since when, where it came from, and the raw row or the data.

    It may show personal data. --try reads the back office's reference tables; it changes nothing, and does not ask the
    front office: `isthmus parked retry --key KEY --dry-run` does. Exit code 1 when nothing of KEY is parked.

    \b
    isthmus parked show flight/UA1545/2013-01-01/EWR
    isthmus parked show KEY --try --full
    isthmus parked show KEY --json | jq '.changes[0].event.data.row'

    \b
    With --json, one object:
      key
      waiting  how many changes of it are parked
      changes  [as a line of `isthmus parked export`, and would_become with --try]
               would_become: {changes [{verb, entity, key, version, data}], poison: {reason, message} or null}
    """
    wiring = Wiring(load(config), patient=False)
    lot = lot_of(wiring.settings)
    waiting = sum(parked.changes for parked in keys_of(lot, Selection(key=key)))
    if not waiting:
        click.echo(f"Nothing of {key} is parked. What became of it: isthmus trace KEY", err=True)
        return Exit.FAILED
    with ExitStack() as stack:
        remake = stack.enter_context(remaking(wiring, wiring.pipelines())) if attempt else None
        changes = islice(changes_of(lot, key), limit)
        if as_json:
            print_json({"key": key, "waiting": waiting, "changes": [_with_becoming(each, remake) for each in changes]})
            return Exit.DONE
        console().print(title(key))
        click.echo(f"{changes_in_words(waiting)} parked")
        for place, each in enumerate(changes, start=1):
            _print(place, each, _becoming(each, remake), full=full)
    if waiting > limit:
        click.echo(f"\nand {waiting - limit:,} more: see --limit")
    return Exit.DONE


def _with_becoming(waiting: Waiting, remake: Remaking | None) -> dict[str, Any]:
    becoming = _becoming(waiting, remake)
    return told(waiting) if becoming is None else {**told(waiting), "would_become": becoming}


def _becoming(waiting: Waiting, remake: Remaking | None) -> dict[str, Any] | None:
    if remake is None:
        return None
    try:
        return {"changes": [change_as_json(change) for change in remake(waiting)], "poison": None}
    except Poison as poison:
        return {"changes": [], "poison": {"reason": poison.reason, "message": poison.message}}


def _print(place: int, waiting: Waiting, becoming: dict[str, Any] | None, *, full: bool) -> None:
    facts = told(waiting)
    kind = " ".join(filter(None, [verb_of(waiting), waiting.entity]))
    why = f": {waiting.message}" if waiting.message else ""
    edited = ", edited by hand" if waiting.edited else ""
    click.echo(f"\n{place}. {kind}, version {version_in_words(waiting.version)}{edited}")
    _echo(
        f"{waiting.reason} ({waiting.stage}){why}",
        f"transaction {waiting.txn}{f' of {waiting.source}' if waiting.source else ''}",
        f"attempts {waiting.attempts}, the first {facts['first_at']}, the last {facts['last_at']}",
        f"detected {waiting.detected or '-'}, arrived {facts['arrived']} in {waiting.shard} at {waiting.sequence}",
    )
    word, content = content_of(waiting)
    _echo_content(f"{word}:" if content is not None else word, content, full=full)
    if becoming is None:
        return
    if becoming["poison"] is not None:
        reason, message = becoming["poison"].values()
        _echo(f"would be poison again: {reason}: {message}")
    elif not becoming["changes"]:
        _echo("would be filtered: the translator makes nothing of it")
    for change in becoming["changes"]:
        _echo_content(f"would become: {change['verb']} {change['key']}", change["data"], full=full)


def _echo_content(heading: str, content: Any, *, full: bool) -> None:
    _echo(heading)
    if content is None:
        return
    text = content if isinstance(content, str) else pretty(content)
    shorter, fell = (text, False) if full else cut(text, _LINES, _WIDE)
    _echo(shorter, *(["cut: see --full"] if fell else []), steps=5)


def _echo(*texts: str, steps: int = 3) -> None:
    for text in texts:
        click.echo(indent(text, " " * steps))
