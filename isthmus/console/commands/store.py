"""`isthmus store`: our own tables in the front office."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from isthmus.console.commands.options import config_option, json_option
from isthmus.console.commands.output import print_json
from isthmus.console.exits import Exit
from isthmus.console.wiring import store_of
from isthmus.consumer.stores.port import Store, Versioned
from isthmus.settings import Settings, StoreKind, load


@click.group()
def store() -> None:
    r"""Look after our own tables in the front office's store.

    \b
    isthmus store init --dry-run  what would be run there
    isthmus store init            make our own tables, or bring them up to this release
    isthmus check                 then: do your own tables fit the settings?
    """


@store.command()
@config_option
@click.option("--dry-run", is_flag=True, help="Only print the statements. Asks nobody.")
@json_option
def init(config: Path, *, dry_run: bool, as_json: bool) -> int:
    r"""Make Isthmus's own tables in the front office, or bring them up to this release.

    Where they lie is told by [store]: tables named isthmus_... in SQLite, a schema of their own in PostgreSQL
    (store.postgres.schema), one table in DynamoDB (store.dynamodb.table). Your own tables are never made or changed.
    Safe to repeat while others work there, and all or nothing: the release before goes on working on what this one
    makes. `isthmus setup` does the same beside everything else; this command asks the front office alone.

    \b
    isthmus store init --dry-run > isthmus.sql    to be read, or run, by whoever looks after the database
    isthmus store init --json | jq .after

    \b
    With --json, one object:
      store       sqlite, postgresql or dynamodb
      dry_run     true: nothing was run, and nobody was asked
      before      the schema version that was found, null where there was none, or where nobody was asked
      after       the schema version that is there now; null with --dry-run
      statements  [what was run, or would be]: SQL, or the description of a table in DynamoDB
    """
    settings = load(config)
    made = make_tables(store_of(settings, []), dry_run=dry_run)
    if as_json:
        print_json({"store": settings.store.kind.value, "dry_run": dry_run, **made._asdict()})
    elif dry_run:
        for line in lines_of(settings, made.statements):
            click.echo(line)
    else:
        click.echo(f"{made.line()}\n\nNext: isthmus check")
    return Exit.DONE


class Made(NamedTuple):
    """What became of our own tables."""

    before: int | None
    """The schema version that was found, None where there was none."""
    after: int | None
    """The one that is there now. None: the store does not number them."""
    statements: list[str]
    """What was run, or would be."""

    def line(self) -> str:
        """Tell it in one line."""
        if self.after is None:
            return "ready  our own tables in the front office"
        made = "there" if self.before == self.after else "made "
        was = "" if self.before in {None, self.after} else f" instead of {self.before}"
        return f"{made}  our own tables in the front office, schema version {self.after}{was}"


def make_tables(store: Store, *, dry_run: bool = False) -> Made:
    """Make our own tables; with `dry_run` ask nobody, and only say how."""
    numbers = store if isinstance(store, Versioned) else None
    if dry_run:
        return Made(None, None, store.prepare(dry_run=True))
    before = numbers.versions()[0] if numbers is not None else None
    statements = store.prepare()
    return Made(before, numbers.versions()[0] if numbers is not None else None, statements)


def lines_of(settings: Settings, statements: Sequence[str]) -> list[str]:
    """Give the statements one to a line, to be run as they are: SQL. The description of a table stays as it is."""
    if settings.store.kind is StoreKind.DYNAMODB:
        return [*statements]
    return [f"{' '.join(statement.split())};" for statement in statements]
