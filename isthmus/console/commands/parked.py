"""`isthmus parked`: what waits in the parking lot, and what an operator does about it."""

from itertools import islice
from pathlib import Path
from typing import Any

import click

from isthmus.console.commands.options import config_option, json_option
from isthmus.console.commands.output import console, print_json, table
from isthmus.console.commands.parked_change import discard, edit
from isthmus.console.commands.parked_export import export
from isthmus.console.commands.parked_options import Chosen, choosing
from isthmus.console.commands.parked_retry import retry
from isthmus.console.commands.parked_show import show
from isthmus.console.exits import Exit
from isthmus.console.lot.telling import key_as_json
from isthmus.console.lot.walking import keys_of
from isthmus.console.parkedlist import reasons_as_json
from isthmus.console.wiring import lot_of
from isthmus.settings import load


@click.group()
def parked() -> None:
    r"""Look at what is parked, and get it out: retry it, edit it, discard it, export it.

    A change that can never be applied as it is, is parked with its key; the others do not wait for it. Mend the cause
    (the reference data, the translator, the table), then retry: the change is translated again, with the translator
    and the references of now, and applied.

    \b
    isthmus parked list                        how much is parked, and for which reasons
    isthmus parked list --reason WORD          which keys
    isthmus parked show KEY                    why, and the raw row
    isthmus parked retry --reason WORD --dry-run
    isthmus parked retry --reason WORD         once the cause is mended
    isthmus parked edit KEY TXN --reason TEXT  one change is wrong, and its source cannot mend it
    isthmus parked discard KEY TXN --reason TEXT   it shall never take effect
    isthmus parked export --all --to FILE
    """


@parked.command("list")
@config_option
@choosing
@json_option
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="How many keys to show.")
def list_(config: Path, chosen: Chosen, *, as_json: bool, limit: int) -> int:
    r"""Show for which reasons something is parked, and which keys.

    Without options: the reasons. With any: the keys that have a change to which all of them apply. `behind` is no fault
    of its own: such changes (kind event) wait behind another one of their key. Only reads.

    \b
    isthmus parked list
    isthmus parked list --reason unknown-airport --since 2h
    isthmus parked list --all --json | jq -r '.keys[].key'

    \b
    With --json, one object:
      reasons  [{reason, keys, changes, oldest_since}], the most changes first; of everything that is parked
      keys     [{key, changes, reason, source, entity, first_at}], by key; null without options
               reason: of its first change that is poison itself
      more     whether there are more than --limit
    """
    settings = load(config)
    lot = lot_of(settings)
    reasons = lot.parked_by_reason()
    keys = None
    if chosen.said:
        keys = list(islice(keys_of(lot, chosen.of(settings), page=limit + 1), limit + 1))
    found = {
        "reasons": reasons_as_json(reasons),
        "keys": None if keys is None else [key_as_json(each) for each in keys[:limit]],
        "more": keys is not None and len(keys) > limit,
    }
    if as_json:
        print_json(found)
    else:
        _print(found)
    return Exit.DONE


def _print(found: dict[str, Any]) -> None:
    out = console()
    if not found["reasons"]:
        out.print("nothing is parked")
        return
    if found["keys"] is None:
        reasons = [
            (row["reason"], f"{row['keys']:,}", f"{row['changes']:,}", row["oldest_since"]) for row in found["reasons"]
        ]
        out.print(table(("REASON", "KEYS", "CHANGES", "OLDEST SINCE"), reasons))
        out.print("\nWhich keys: isthmus parked list --reason REASON, or --all")
        return
    if not found["keys"]:
        out.print("nothing that is parked fits")
        return
    columns = ("KEY", "CHANGES", "REASON", "SOURCE", "ENTITY", "SINCE")
    rows = [
        (row["key"], f"{row['changes']:,}", row["reason"], row["source"], row["entity"], row["first_at"])
        for row in found["keys"]
    ]
    out.print(table(columns, rows))
    if found["more"]:
        out.print("and more: see --limit")


for command in (show, retry, edit, discard, export):
    parked.add_command(command)
