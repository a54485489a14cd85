"""`isthmus setup`: make what is missing."""

from collections.abc import Callable
from pathlib import Path

import click

from isthmus import aws
from isthmus.checkpoint.ports import StreamRecord
from isthmus.checkpoint.table import create_table
from isthmus.console.commands.options import config_option
from isthmus.console.commands.store import lines_of, make_tables
from isthmus.console.dlq.place import queue_name
from isthmus.console.exits import Exit
from isthmus.console.wiring import Wiring, entities_of, store_of
from isthmus.errors import Refused
from isthmus.settings import Settings, load


@click.command()
@config_option
@click.option("--dry-run", is_flag=True, help="Only say what would be made. Asks nobody.")
@click.option(
    "--new-stream",
    is_flag=True,
    help="The stream was made anew: forget watermarks and checkpoints of the old one, and record the new one.",
)
def setup(config: Path, *, dry_run: bool, new_stream: bool) -> int:
    r"""Make stream, checkpoint table, dead-letter queue, claim-check bucket and our own tables in the front office.

    What is there already stays as it is: safe to repeat. Your own tables are never made or changed.

    \b
    isthmus setup --dry-run       what would be made, and the statements for our own tables
    isthmus setup && isthmus check
    isthmus setup --new-stream    after the stream was deleted and made again: everything is detected and decided
                                  again, what took effect already is a duplicate
    """
    settings = load(config)
    wiring = Wiring(settings, patient=False)
    # Before anything is made: a mistake in the user's code is one in the settings.
    entities = entities_of(settings, wiring.pipelines())
    steps = _steps(wiring)
    if dry_run:
        for name, _ in steps:
            click.echo(f"would make, where it is missing: {name}")
        click.echo("\nour own tables in the front office:")
        for line in lines_of(settings, make_tables(store_of(settings, entities), dry_run=True).statements):
            click.echo(f"  {line}")
        return Exit.DONE
    for name, make in steps:
        click.echo(f"{_done(make())}  {name}")
    made, words = record_stream(wiring, new_stream=new_stream)
    click.echo(f"{_done(made)}  {words}")
    click.echo(f"{make_tables(store_of(settings, entities)).line()}\n\nNext: isthmus check")
    return Exit.DONE


def _done(made: bool) -> str:  # noqa: FBT001 - it is all that it says
    return "made " if made else "there"


def prepare(settings: Settings) -> None:
    """Make everything, saying nothing."""
    wiring = Wiring(settings)
    for _, make in _steps(wiring):
        make()
    record_stream(wiring, new_stream=False)
    store_of(settings, []).prepare()


def _steps(wiring: Wiring) -> list[tuple[str, Callable[[], bool]]]:
    settings, access = wiring.settings, wiring.settings.aws.access
    stream = settings.stream

    def make_stream() -> bool:
        kinesis = aws.client(access, "kinesis")
        made = aws.ensure_stream(kinesis, stream.name, stream.shards, stop=wiring.stop)
        aws.ensure_retention(kinesis, stream.name, stream.retention_hours, stop=wiring.stop)
        return made

    steps: list[tuple[str, Callable[[], bool]]] = [
        (f"stream {stream.name}, {stream.shards} shards, {stream.retention_hours} h of retention", make_stream),
        (
            f"table {settings.checkpoint.table} in DynamoDB",
            lambda: create_table(aws.client(access, "dynamodb"), settings.checkpoint.table, stop=wiring.stop),
        ),
    ]
    queue = queue_name(settings)
    if queue is not None:
        steps.append((f"queue {queue} in SQS", lambda: aws.ensure_queue(aws.client(access, "sqs"), queue)))
    bucket = settings.claim_check.bucket
    if bucket is not None:
        steps.append((f"bucket {bucket} in S3", lambda: aws.ensure_bucket(aws.client(access, "s3"), bucket)))
    return steps


def record_stream(wiring: Wiring, *, new_stream: bool) -> tuple[bool, str]:
    """Record which stream this is and how many lanes it has; say whether that is new, and the record in words.

    With `new_stream` what belongs to another stream is forgotten first. Raises `Refused` where such a thing stands.
    """
    stream = wiring.settings.stream
    registry = wiring.checkpoints().stream
    facts = aws.describe_stream(aws.client(wiring.settings.aws.access, "kinesis"), stream.name)
    asked = StreamRecord(facts.identity, stream.lanes)
    before = registry.read()
    standing = registry.record(asked)
    if standing.identity != facts.identity and new_stream:
        registry.forget()
        before = registry.read()
    standing = registry.record(asked)
    if standing.identity != facts.identity:
        raise Refused(
            f"Watermarks and checkpoints belong to another stream {stream.name}, made at {standing.identity.created}.",
            hint="Run `isthmus setup --new-stream` to forget them: everything is then detected and decided again.",
        )
    if standing.lanes != stream.lanes:
        raise Refused(
            f"The stream {stream.name} was set up with {standing.lanes} lanes; stream.lanes is {stream.lanes}.",
            hint=f"Set lanes = {standing.lanes} under [stream].",
        )
    return before != standing, f"record of the stream: made at {facts.identity.created}, {standing.lanes} lanes"
