"""The example file is right, complete, and tells the true defaults."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from isthmus.settings import Settings, load
from isthmus.settings.declared import Declared

EXAMPLE = Path(__file__).parents[2] / "docs" / "isthmus.example.toml"
COMMENTED_KEY = re.compile(r"^#(?=[a-z0-9_]+ = |\[[a-z.]+\]$)", re.MULTILINE)
NOT_DEFAULTS = {
    # shown as examples; without them AWS's chain, no bucket, no such column and the source's own address hold
    "aws.access_key_id",
    "aws.endpoint_url",
    "aws.endpoints.dynamodb",
    "aws.endpoints.kinesis",
    "aws.endpoints.s3",
    "aws.endpoints.sqs",
    "aws.region",
    "aws.secret_access_key",
    "claim_check.bucket",
    "entities.flight.columns.tail_number",
    "entities.flight.key_columns.day",
    "entities.flight.key_columns.flight",
    "entities.flight.key_columns.origin",
    "entities.flight.process",
    "entities.flight.schema",
    "gate.watched",
    *(f"gates.weekend.{key}" for key in ("process", "source", "entity", "key_prefix", "reason")),
    *(f"gates.weekend.{key}" for key in ("closed_from", "closed_until", "time_zone")),
    *(f"gates.audit.{key}" for key in ("reason", "sql", "database_of")),
    *(f"gates.moving.{key}" for key in ("reason", "url", "token")),
    *(f"gates.closing.{key}" for key in ("reason", "sql", "database_url")),
    "kcl.jars",
    "kcl.java",
    "kcl.worker",
    "sources.flights.columns",
    "sources.flights.references.airports.schema",
    "sources.flights.references.airports.url",
    "sources.flights.schema",
    "sources.flights.time_column",
}
ENVIRONMENT = {
    "ISTHMUS_ACCESS_KEY_ID": "test",
    "ISTHMUS_SECRET_ACCESS_KEY": "test",
    "BOOKS_URL": "sqlite:///books.db",
    "STATUS_TOKEN": "test",
}


STORES = {
    "sqlite": ('"sqlite:///front-office.db"', ("schema", "key_columns"), ("postgres", "dynamodb")),
    "postgresql": ('"postgresql://localhost/flights"', ("key_column",), ("dynamodb",)),
    "dynamodb": ('"dynamodb:"', ("schema", "key_columns"), ("postgres",)),
}
"""By store: its address, what of an entity's keys is another way, and the sections of other stores."""


def everything(folder: Path, store: str | None = None) -> Path:
    """Write the example with every default written out; with a store, as it is right for that one."""
    path = folder / "isthmus.toml"
    text = COMMENTED_KEY.sub("", EXAMPLE.read_text(encoding="utf-8"))
    if store is not None:
        url, keys, sections = STORES[store]
        text = text.replace('url = "sqlite:///front-office.db"', f"url = {url}")
        entity = text[text.index("[entities.flight]") : text.index("[entities.flight.columns]")]
        kept = "\n".join(line for line in entity.splitlines() if line.partition(" = ")[0] not in keys)
        text = text.replace(entity, f"{kept}\n")
        for section in sections:
            text = re.sub(rf"^\[store\.{section}\]\n.*?(?=^\[)", "", text, flags=re.MULTILINE | re.DOTALL)
    path.write_text(text, encoding="utf-8")
    return path


def leaves(table: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and not set(value) & {"env", "file"}:
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def keys_of(annotation: Any, path: str = "") -> Iterator[str]:
    """Give every key path that a model knows, with `*` for a name that the user chooses."""
    for part in get_args(annotation) if get_origin(annotation) is dict else ():
        yield from keys_of(part, f"{path}*.")
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, info in annotation.model_fields.items():
            here = f"{path}{info.alias or name}"
            below = list(keys_of(info.annotation, f"{here}."))
            yield from below or [here]


def named(settings: Settings, path: str) -> Any:
    value: Any = settings
    for part in path.split("."):
        value = value[part] if isinstance(value, dict) else getattr(value, "schema_name" if part == "schema" else part)
    return value


def test_the_example_loads_as_it_stands() -> None:
    assert load(EXAMPLE, {}).application == "flights"


@pytest.mark.parametrize("store", STORES)
def test_the_example_loads_for_each_store_with_every_commented_key_written_out(tmp_path: Path, store: str) -> None:
    settings = load(everything(tmp_path, store), ENVIRONMENT)
    assert (settings.stream.lanes, settings.store.kind.value) == (16, store)


def test_every_default_that_is_told_is_true(tmp_path: Path) -> None:
    told = dict(leaves(tomllib.loads(everything(tmp_path).read_text(encoding="utf-8"))))
    written = dict(leaves(tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))))
    settings = load(EXAMPLE, {})
    commented = {path: value for path, value in told.items() if path not in written}
    assert {path for path in commented if path in NOT_DEFAULTS} == NOT_DEFAULTS
    for path in commented.keys() - NOT_DEFAULTS:
        _, key = path.rsplit(".", 1)
        known = Declared.model_fields[key].default if path.startswith("gates.") else named(settings, path)
        assert known == commented[path], path


def test_every_key_is_in_the_example(tmp_path: Path) -> None:
    told = {path for path, _ in leaves(tomllib.loads(everything(tmp_path).read_text(encoding="utf-8")))}
    patterns = {key: re.escape(key).replace(r"\*", "[a-z_]+") for key in keys_of(Settings)}
    for key, pattern in patterns.items():
        assert any(re.match(rf"{pattern}(\.|$)", path) for path in told), key


@pytest.mark.parametrize("line", EXAMPLE.read_text(encoding="utf-8").splitlines())
def test_a_line_of_the_example_fits_on_a_page(line: str) -> None:
    assert len(line) <= 120
