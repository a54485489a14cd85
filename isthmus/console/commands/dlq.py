"""`isthmus dlq`: what lies in the dead-letter queue, and how it gets out."""

from pathlib import Path
from typing import Any

import click

from isthmus.console.commands.dlq_redrive import foreign_lines, redrive
from isthmus.console.commands.options import config_option, json_option
from isthmus.console.commands.output import console, print_json, table
from isthmus.console.dlq.looking import look
from isthmus.console.dlq.opening import mailbox_of
from isthmus.console.exits import Exit
from isthmus.console.wiring import Wiring
from isthmus.settings import load


@click.group()
def dlq() -> None:
    r"""Read the dead-letter queue, and redrive what lies in it.

    `consume` copies every change that it parks for what it is to this SQS queue, in full, for alarms and for other
    teams. What is parked is got out with `isthmus parked retry`, which needs no queue and keeps the order. The queue is
    for when the parking lot was lost, as with a front office that was restored from an old copy: any letter can be
    redriven, and takes effect at most once.

    \b
    isthmus dlq list                         what lies there
    isthmus dlq redrive --all --dry-run      what would become of it
    isthmus dlq redrive --reason WORD        once the cause is mended
    """


@dlq.command("list")
@config_option
@json_option
@click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(1, 10_000), help="How many messages to look at."
)
def list_(config: Path, *, as_json: bool, limit: int) -> int:
    r"""Show what lies in the dead-letter queue, the longest parked first.

    SQS shows no message without giving it to somebody: each is hidden from others for the moment of the look, and is
    given back at once; after 30 seconds if this command is killed. It counts as a receipt. A message that is not ours
    is named, and left as it is.

    \b
    isthmus dlq list
    isthmus dlq list --json | jq -r '.letters[].key'

    \b
    With --json, one object:
      queue    its name
      about    about how many messages lie there, as SQS says
      letters  [{txn, key, source, reason, shard, sequence, time, parked, sent, receipts, event, bytes}]
               time: when the back office made it; event: in the `message`, in the `bucket`, or `nowhere`
      foreign  [{message, sent, bytes, why}], messages that are not ours
      more     whether there are more than were looked at
    """
    wiring = Wiring(load(config), patient=False)
    mailbox, name = mailbox_of(wiring)
    about = mailbox.size()
    seen = look(mailbox, limit, clock=wiring.clock)
    found = {"queue": name, "about": about, "letters": seen.letters, "foreign": seen.foreign, "more": seen.more}
    if as_json:
        print_json(found)
    else:
        _print(found)
    return Exit.DONE


def _print(found: dict[str, Any]) -> None:
    out = console()
    if not found["letters"] and not found["foreign"]:
        out.print(f"nothing lies in {found['queue']}" if not found["about"] else _in_other_hands(found))
        return
    if found["letters"]:
        columns = ("TXN", "KEY", "REASON", "SOURCE", "PARKED", "BYTES")
        rows = [
            (row["txn"], row["key"], row["reason"], row["source"], row["parked"], f"{row['bytes']:,}")
            for row in found["letters"]
        ]
        out.print(table(columns, rows))
    for line in foreign_lines(len(found["foreign"]), found["foreign"]):
        out.print(line)
    if found["more"]:
        out.print(f"and more: see --limit. About {found['about']:,} messages lie there.")
    out.print("\nNext: isthmus dlq redrive --all --dry-run")


def _in_other_hands(found: dict[str, Any]) -> str:
    return f"about {found['about']:,} messages lie in {found['queue']}, and somebody else has them just now"


dlq.add_command(redrive)
