"""`isthmus check`: whether everything is as the settings say."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from isthmus.clock import rfc3339
from isthmus.console.commands.options import config_option, json_option
from isthmus.console.commands.output import print_json
from isthmus.console.declaring import probe_of
from isthmus.console.exits import Exit, exit_of
from isthmus.console.producing import open_references, open_source
from isthmus.console.wiring import Wiring, entities_of, store_of
from isthmus.errors import IsthmusError
from isthmus.pipeline import Pipeline
from isthmus.settings import load


@click.command()
@config_option
@json_option
def check(config: Path, *, as_json: bool) -> int:
    r"""Check settings, connections, and what stream, back office and front office are really like.

    Changes nothing, and asks everything even if something is wrong, the probes of declared gates too. What is wrong
    names the command or the statement that mends it. Ends with the exit code of the first thing that is wrong.

    \b
    isthmus check                 then, if something is missing: isthmus setup
    isthmus check --json | jq '.checks[] | select(.ok | not)'

    \b
    With --json, one object: {ok, checks: [{check, ok, says}]}
    """
    settings = load(config)
    wiring = Wiring(settings, patient=False)
    results = [_result(name, step) for name, step in _steps(wiring, wiring.pipelines())]
    if as_json:
        found = [{"check": name, "ok": error is None, "says": words} for name, words, error in results]
        print_json({"ok": all(each["ok"] for each in found), "checks": found})
    else:
        for name, words, error in results:
            click.echo(f"{'ok   ' if error is None else 'WRONG'}  {name}: {words}")
    return next((exit_of(error) for _, _, error in results if error is not None), Exit.DONE)


Step = Callable[[], str]


def _result(name: str, step: Step) -> tuple[str, str, IsthmusError | None]:
    try:
        return name, step(), None
    except IsthmusError as error:
        return name, str(error), error


def _steps(wiring: Wiring, pipelines: dict[str, Pipeline]) -> list[tuple[str, Step]]:
    return [
        ("settings", lambda: f"{wiring.settings.file} is right"),
        ("stream", partial(_stream, wiring)),
        *[(f"source {name}", partial(_source, wiring, name)) for name in pipelines],
        ("front office", partial(_front_office, wiring, pipelines)),
        *[(f"gate {name}", partial(_gate, wiring, name)) for name in wiring.settings.gates],
    ]


def _stream(wiring: Wiring) -> str:
    facts = wiring.stream(wiring.checkpoints())
    wiring.check_memory(facts)
    return (
        f"{facts.status.lower()}, {facts.open_shards} shards, {wiring.settings.stream.lanes} lanes, "
        f"{facts.retention_hours} h of retention, records up to {facts.max_record_bytes:,} bytes, "
        f"made at {facts.identity.created}"
    )


def _source(wiring: Wiring, name: str) -> str:
    section = wiring.settings.sources[name]
    opened, references = open_source(section), open_references(wiring, section)
    try:
        references.refresh_if_due()
        bound = opened.read(None, 1).bound
    finally:
        opened.close()
        references.close()
    rows = "it is empty" if bound is None else f"up to {section.cursor} {bound}"
    return f"{section.table} can be read, {rows}; references: {', '.join(section.references) or 'none'}"


def _gate(wiring: Wiring, name: str) -> str:
    """Say what a declared gate is now. A probe is asked, once, from here; nothing is written down of it."""
    window = wiring.settings.gates[name].window
    if window is None:
        answer = probe_of(wiring.settings, name)()
        return f"{'closed' if answer.closed else 'open'} now: {answer.words}"
    found = window.at(wiring.clock.now_ms())
    end = "for ever" if found.changes_ms is None else f"until {rfc3339(found.changes_ms)}"
    return f"{'closed' if found.closed else 'open'} {end}"


def _front_office(wiring: Wiring, pipelines: dict[str, Pipeline]) -> str:
    entities = entities_of(wiring.settings, pipelines)
    wiring.check_front_office(store_of(wiring.settings, entities), entities)
    return f"{', '.join(entity.name for entity in entities)}: tables and columns fit"
