"""`isthmus peek`: what lies in the stream."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click

from isthmus import aws
from isthmus.clock import rfc3339
from isthmus.codec import Undecodable, decode
from isthmus.console.commands.options import config_option
from isthmus.console.commands.output import print_json
from isthmus.console.exits import Exit
from isthmus.console.tape import Tape
from isthmus.console.wiring import Wiring
from isthmus.consumer.feed import Record
from isthmus.consumer.kinesis import KinesisFeed
from isthmus.settings import load


@click.command()
@config_option
@click.option("--shard", help="Only this shard, e.g. shardId-000000000000.")
@click.option("--after", metavar="SEQUENCE", help="Begin after this sequence number (with --shard).")
@click.option("--key", help="Only changes of this entity key.")
@click.option(
    "--limit", default=10, show_default=True, type=click.IntRange(1), help="How many changes to show of each shard."
)
@click.option("--data", is_flag=True, help="Show the payloads too. They may hold personal data.")
def peek(config: Path, shard: str | None, after: str | None, key: str | None, limit: int, *, data: bool) -> int:
    r"""Decode records of the stream: one line of JSON for each change, oldest first.

    Only reads, up to the newest record; no checkpoint moves. A change has: shard, sequence, arrived, verb (upsert,
    delete, event, untranslated, or marker where an owner took over), key, id (the transaction ID), version, source,
    epoch, time, and data with --data. What cannot be decoded has: undecodable (why), message, bytes (how many).

    \b
    isthmus peek --limit 100 | jq -r .key | sort | uniq -c
    isthmus peek --key flight/UA1545/2013-01-01/EWR --data
    """
    if after is not None and shard is None:
        raise click.UsageError("--after needs --shard: a sequence number belongs to a shard.")
    if after is not None and not after.isdecimal():
        raise click.BadParameter("a sequence number is digits only.", param_hint="--after")
    settings = load(config)
    feed = KinesisFeed(aws.client(Wiring(settings, patient=False).access, "kinesis"), settings.stream.name)
    shards = [found.id for found in feed.shards()]
    if shard is not None and shard not in shards:
        raise click.BadParameter(f"there is no {shard}; there are {', '.join(shards)}.", param_hint="--shard")
    tape = Tape(feed)
    for name in shards if shard is None else [shard]:
        lines = (line for record in tape.shard(name, after) for line in _lines(name, record, key, data=data))
        for line in islice(lines, limit):
            print_json(line)
    return Exit.DONE


def _lines(shard: str, record: Record, key: str | None, *, data: bool) -> Iterator[dict[str, Any]]:
    place = {"shard": shard, "sequence": record.sequence, "arrived": rfc3339(record.arrival_ms)}
    for item in decode(record.data):
        if isinstance(item, Undecodable):
            if key is None:
                yield {**place, "undecodable": item.reason, "message": item.message, "bytes": len(item.data)}
        elif key in {None, item.key}:
            line = {
                **place,
                "verb": item.verb.value,
                "key": item.key,
                "id": item.id,
                "version": item.version,
                "source": item.source,
                "epoch": item.epoch,
                "time": item.time,
            }
            yield {**line, "data": item.data} if data else line
