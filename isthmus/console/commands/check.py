"""`isthmus check`: whether everything is as the settings say."""

from collections.abc import Callable
from pathlib import Path

import click
import orjson

from isthmus.console.commands.options import config_option, json_option
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
    """Check settings, connections, and what stream, back office and front office are really like.

    Changes nothing. Ends with the exit code of the first thing that is wrong.
    """
    settings = load(config)
    wiring = Wiring(settings)
    # Here a thing that is away is an answer, not something to wait for.
    wiring.stop.request()
    pipelines = wiring.pipelines()
    results = [_result(name, step) for name, step in _steps(wiring, pipelines)]
    if as_json:
        found = [{"check": name, "ok": error is None, "says": words} for name, words, error in results]
        click.echo(orjson.dumps({"ok": all(each["ok"] for each in found), "checks": found}))
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
    settings = wiring.settings

    def stream() -> str:
        facts = wiring.stream(wiring.checkpoints())
        return (
            f"{facts.status.lower()}, {facts.open_shards} shards, {settings.stream.lanes} lanes, "
            f"{facts.retention_hours} h of retention, records up to {facts.max_record_bytes:,} bytes, "
            f"made at {facts.identity.created}"
        )

    def front_office() -> str:
        entities = entities_of(settings, pipelines)
        store_of(settings, entities).check(entities)
        return f"{', '.join(entity.name for entity in entities)}: tables and columns fit"

    def source(name: str) -> Step:
        def look() -> str:
            section = settings.sources[name]
            opened = open_source(wiring, section)
            references = open_references(wiring, section)
            try:
                references.refresh_if_due()
                page = opened.read(None, 1)
                tables = ", ".join(section.references) or "none"
                return f"{section.table} can be read, up to {section.cursor} {page.bound}; references: {tables}"
            finally:
                opened.close()
                references.close()

        return look

    return [
        ("settings", lambda: f"{settings.file} is right"),
        ("stream", stream),
        *[(f"source {name}", source(name)) for name in pipelines],
        ("front office", front_office),
    ]
