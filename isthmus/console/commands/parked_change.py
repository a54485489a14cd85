"""`isthmus parked edit` and `discard`: what an operator answers for, by name and with a reason."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from shlex import quote
from typing import Final

import click

from isthmus.change import Verb
from isthmus.codec import NotJson, json_value
from isthmus.console.commands.options import config_option, json_option
from isthmus.console.commands.output import console, print_json, table
from isthmus.console.commands.parked_options import agreed, changes_in_words, find
from isthmus.console.exits import Exit
from isthmus.console.lot.editing import Edited, Editing
from isthmus.console.lot.opening import Tools, opened, opened_for_discarding
from isthmus.console.lot.person import who as who_sits_here
from isthmus.console.lot.remaking import LOT_LIMITS
from isthmus.console.lot.telling import pretty, version_in_words
from isthmus.console.lot.walking import changes_of
from isthmus.console.wiring import Wiring, lot_of, source_attribute
from isthmus.consumer.stores.lot import LotReader, Waiting
from isthmus.errors import Refused
from isthmus.settings import Settings, load

_AT_ONCE: Final = 100
"""Changes that are discarded in one transaction."""
_SHOWN: Final = 50

_why_option = click.option(
    "--reason", "why", required=True, metavar="TEXT", help="Why, for the audit table and whoever asks later."
)
_who_option = click.option("--who", metavar="NAME", help="Who does it. By default your login name and this host.")
_yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


@click.command()
@click.argument("key", metavar="KEY")
@click.argument("txn", metavar="TXN")
@config_option
@json_option
@click.option(
    "--data", "data_file", metavar="FILE|-", help="The new row, or the new data, as JSON. By default $EDITOR."
)
@click.option("--event", "event_file", metavar="FILE|-", help="The whole event instead, as `export` gives it.")
@click.option(
    "--as",
    "verb",
    type=click.Choice([Verb.UPSERT.value, Verb.DELETE.value, Verb.EVENT.value]),
    help="Of an untranslated change: --data is final data, no row; the translator is not asked.",
)
@_why_option
@_who_option
@_yes_option
def edit(
    key: str,
    txn: str,
    config: Path,
    *,
    as_json: bool,
    data_file: str | None,
    event_file: str | None,
    verb: str | None,
    why: str,
    who: str | None,
    yes: bool,
) -> int:
    r"""Change what the parked change TXN of KEY says, where its source cannot mend it.

    Of an untranslated change the raw row is edited, which is translated again; of any other its data. Nothing else can
    be: neither key, version and transaction ID, nor the row's key columns and its cursor. The result must pass the
    translator and the contract of now, or it is refused. It shows what will become of it, and asks. The change as it
    was is kept in the audit table, with who, when and why. The change stays parked until `isthmus parked retry`; from
    then on its transaction ID is settled: when the source sends the same change again, it has no effect.

    \b
    isthmus parked edit KEY TXN --reason "typing error, agreed with the registry"
    isthmus parked show KEY --json | jq .changes[0].event.data.row > row.json
    isthmus parked edit KEY TXN --data row.json --reason "..." && isthmus parked retry --key KEY
    isthmus parked edit KEY TXN --as upsert --data customer.json --reason "..."

    \b
    With --json, one object:
      key, txn
      becomes  [{verb, key}] what the code of now makes of it
    """
    if data_file is not None and event_file is not None:
        raise click.UsageError("--data or --event, not both.")
    if verb is not None and event_file is not None:
        raise click.UsageError("--as goes with --data: an event says itself what it is.")
    if "-" in {data_file, event_file} and not yes:
        raise click.UsageError("From stdin nobody can be asked: add --yes.")
    wiring = Wiring(load(config), patient=False)
    waiting = find(lot_of(wiring.settings), key, txn)
    if waiting is None:
        click.echo(f"No change {txn} of {key} is parked. See: isthmus parked show KEY", err=True)
        return Exit.FAILED
    editing = Editing(waiting, _fixed_columns(wiring.settings))
    with opened(wiring) as tools:
        if event_file is not None:
            edited = editing.checked(editing.from_event(_read(event_file)), tools.remake, tools.entities)
        else:
            edited = _by_content(editing, tools, data_file, None if verb is None else Verb(verb))
        becomes = [{"verb": change.verb.value, "key": change.key} for change in edited.becomes]
        if not as_json:
            _print_becoming(edited)
        if not yes and not agreed(f"Edit the change {txn} of {key} so?"):
            return Exit.FAILED
        if not tools.redriver.edit(key, waiting, edited.event, who=who or who_sits_here(), why=why):
            raise Refused("The change was edited, freed or discarded meanwhile.", hint="Nothing was changed.")
    if as_json:
        print_json({"key": key, "txn": txn, "becomes": becomes})
    else:
        click.echo("Edited; the change as it was is in the audit table.")
        click.echo(f"\nNext: isthmus parked retry --key {quote(key)}")
    return Exit.DONE


def _by_content(editing: Editing, tools: Tools, file: str | None, verb: Verb | None) -> Edited:
    if verb is Verb.DELETE:
        if file is not None:
            raise click.UsageError("A delete has no data: leave --data out.")
        return editing.checked(editing.as_final(verb, None), tools.remake, tools.entities)

    def made_of(text: bytes) -> Edited:
        try:
            content = json_value(text, LOT_LIMITS)
        except NotJson as error:
            raise Refused(f"This is no JSON: {error.reason}: {error.message}.") from None
        new = editing.with_content(content) if verb is None else editing.as_final(verb, content)
        return editing.checked(new, tools.remake, tools.entities)

    if file is not None:
        return made_of(_read(file))
    return _by_hand(pretty(editing.content if verb is None else {}), made_of)


def _by_hand(text: str, made_of: Callable[[bytes], Edited]) -> Edited:
    """Let somebody edit a text until it is right: what was typed is not lost by a mistake in it."""
    while True:
        typed = click.edit(text, extension=".json")
        if typed is None:
            raise Refused("Nothing was saved in the editor.", hint="Nothing was changed.")
        try:
            return made_of(typed.encode())
        except Refused as refused:
            click.echo(str(refused), err=True)
            if not agreed("Edit it again?", "Nothing was changed."):
                raise
            text = typed


def _print_becoming(edited: Edited) -> None:
    if not edited.becomes:
        click.echo("The translator makes nothing of it: it would be filtered.")
    for change in edited.becomes:
        data = "" if change.data is None else f"\n{pretty(change.data)}"
        click.echo(f"It would become: {change.verb} {change.key}{data}")


def _fixed_columns(settings: Settings) -> dict[str, Sequence[str]]:
    return {
        source_attribute(settings.application, name): (*section.key, section.cursor)
        for name, section in settings.sources.items()
    }


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise click.BadParameter(f"{file} cannot be read: {error.strerror}.") from error


@click.command()
@click.argument("key", metavar="KEY")
@click.argument("txns", metavar="[TXN]...", nargs=-1)
@config_option
@json_option
@click.option("--all", "everything", is_flag=True, help="Everything that waits of KEY.")
@_why_option
@_who_option
@_yes_option
def discard(
    key: str,
    txns: Sequence[str],
    config: Path,
    *,
    as_json: bool,
    everything: bool,
    why: str,
    who: str | None,
    yes: bool,
) -> int:
    r"""Take changes of KEY out of the parking lot for good: they shall never take effect.

    It shows them, and asks. They are kept in the audit table, with who, when and why. Their transaction IDs stay
    settled: when the source sends them again, they have no effect. What waits behind them stays, until
    `isthmus parked retry --key KEY`.

    \b
    isthmus parked discard KEY TXN --reason "posted twice by mistake"
    isthmus parked discard KEY --all --reason "test data"

    \b
    With --json, one object:
      key
      discarded  how many changes
      left       how many of the key are parked still
    """
    if everything == bool(txns):
        raise click.UsageError("Say which: transaction IDs, or --all.")
    wiring = Wiring(load(config), patient=False)
    lot = lot_of(wiring.settings)
    chosen, shown = _chosen(lot, key, txns)
    if unknown := sorted({*txns} - {*chosen}):
        click.echo(f"Not parked of {key}: {', '.join(unknown)}. See: isthmus parked show KEY", err=True)
        return Exit.FAILED
    if not chosen:
        click.echo(f"Nothing of {key} is parked.", err=True)
        return Exit.FAILED
    if not as_json:
        rows = [(version_in_words(each.version), each.txn, each.reason, each.message) for each in shown]
        console().print(table(("VERSION", "TRANSACTION", "REASON", "MESSAGE"), rows))
        if len(chosen) > len(shown):
            click.echo(f"and {len(chosen) - len(shown):,} more")
    if not yes and not agreed(f"Discard {changes_in_words(len(chosen))} of {key} for good?"):
        return Exit.FAILED
    by, discarded = who or who_sits_here(), 0
    with opened_for_discarding(wiring) as redriver:
        for begin in range(0, len(chosen), _AT_ONCE):
            discarded += redriver.discard(key, chosen[begin : begin + _AT_ONCE], who=by, why=why)
    left = sum(1 for _ in changes_of(lot, key))
    if as_json:
        print_json({"key": key, "discarded": discarded, "left": left})
        return Exit.DONE
    click.echo(f"{changes_in_words(discarded)} discarded; kept in the audit table.")
    if left:
        click.echo(f"Parked still of {key}: {changes_in_words(left)}.\n\nNext: isthmus parked retry --key {quote(key)}")
    return Exit.DONE


def _chosen(lot: LotReader, key: str, txns: Sequence[str]) -> tuple[list[str], list[Waiting]]:
    """Give the IDs of what is to be discarded, all of the key where none is named, and the first of it to be shown."""
    wanted, chosen, shown = set(txns), list[str](), list[Waiting]()
    for waiting in changes_of(lot, key):
        if not txns or waiting.txn in wanted:
            chosen.append(waiting.txn)
            if len(shown) < _SHOWN:
                shown.append(waiting._replace(event=b""))
    return chosen, shown
