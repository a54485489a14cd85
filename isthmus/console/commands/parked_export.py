"""`isthmus parked export`: what waits, one JSON object to a line."""

from pathlib import Path
from typing import BinaryIO, cast

import click

from isthmus.codec import json_bytes
from isthmus.console.commands.options import config_option
from isthmus.console.commands.parked_options import Chosen, changes_in_words, choosing
from isthmus.console.exits import Exit
from isthmus.console.lot.telling import as_json
from isthmus.console.lot.walking import changes_of, keys_of
from isthmus.console.wiring import lot_of
from isthmus.settings import load


@click.command()
@config_option
@choosing
@click.option("--to", "file", default="-", metavar="FILE", help="Write there instead of stdout, all or nothing.")
def export(config: Path, chosen: Chosen, file: str) -> int:
    r"""Write what is parked as JSON, one change to a line, whole: for a spreadsheet, or whoever mends the data.

    Everything that waits of each key that has a change to which all options apply; without options, of all keys. Only
    reads. It may hold personal data.

    \b
    isthmus parked export --reason unknown-airport | jq -r .event.data.row.DEST | sort | uniq -c
    isthmus parked export --all --to parked.jsonl

    \b
    Each line:
      key, txn, version, source, entity, epoch, rowhash
      detected, arrived, shard, sequence     when, and where it came from
      reason, message, stage                 why it is parked
      attempts, first_at, last_at, edited    edited: by hand, by `isthmus parked edit`
      event                                  the whole CloudEvent; of an untranslated change data.row is the raw row
      event_base64                           the bytes, where they are no event; else null
    """
    settings = load(config)
    lot = lot_of(settings)
    written = 0
    with cast("BinaryIO", click.open_file(file, "wb", atomic=file != "-")) as out:
        for parked in keys_of(lot, chosen.of(settings)):
            for waiting in changes_of(lot, parked.key):
                out.write(json_bytes(as_json(waiting)) + b"\n")
                written += 1
        out.flush()
    click.echo(f"{changes_in_words(written)} written", err=True)
    return Exit.DONE
