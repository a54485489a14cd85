"""`isthmus peek`: what lies in the stream."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from isthmus import aws
from isthmus.clock import rfc3339
from isthmus.codec import Undecodable, decode, json_bytes
from isthmus.console.commands.options import config_option
from isthmus.console.exits import Exit
from isthmus.consumer.feed import Record
from isthmus.consumer.kinesis import KinesisFeed
from isthmus.settings import load

_PAGE = 100
_EMPTY_PAGES = 3
"""An empty answer says nothing about the end, so a few are asked for."""


@click.command()
@config_option
@click.option("--shard", help="Only this shard.")
@click.option("--after", metavar="SEQUENCE", help="Begin after this sequence number (with --shard).")
@click.option("--key", help="Only changes of this entity key.")
@click.option(
    "--limit", default=10, show_default=True, type=click.IntRange(1), help="How many changes to show of each shard."
)
@click.option("--data", is_flag=True, help="Show the payloads too. They may hold personal data.")
def peek(config: Path, shard: str | None, after: str | None, key: str | None, limit: int, *, data: bool) -> int:
    """Decode records of the stream: one JSON line for each change, oldest first.

    Only reads; no checkpoint moves.
    """
    if after is not None and shard is None:
        raise click.UsageError("--after needs --shard: a sequence number belongs to a shard.")
    settings = load(config)
    feed = KinesisFeed(aws.client(settings.aws.access, "kinesis"), settings.stream.name)
    for found in feed.shards():
        if shard not in {None, found.id}:
            continue
        shown = 0
        for record in _records(feed, found.id, after):
            for line in _lines(found.id, record, key, data=data):
                click.echo(json_bytes(line))
                shown += 1
                if shown >= limit:
                    break
            if shown >= limit:
                break
    return Exit.DONE


def _records(feed: KinesisFeed, shard: str, after: str | None) -> Iterator[Record]:
    iterator: str | None = feed.iterator(shard, after)
    empty = 0
    while iterator is not None and empty < _EMPTY_PAGES:
        fetched = feed.fetch(iterator, _PAGE)
        yield from fetched.records
        empty = 0 if fetched.records or fetched.behind_ms else empty + 1
        iterator = fetched.iterator


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
