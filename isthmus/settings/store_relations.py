"""What must hold between the front-office store, its entities and the rest of the settings. As `relations.py`."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from isthmus.keytemplates import WHOLE, KeyTemplates, are_apart
from isthmus.settings.databases import is_one_file
from isthmus.settings.models import Checkpoint, ClaimCheck, Entity, Source, Stream
from isthmus.settings.stores import Store, StoreKind

Objection = tuple[tuple[str, ...], str]
"""The key path, and what is allowed there."""

OUR_TABLES = "isthmus_"
_SECTIONS = {StoreKind.POSTGRESQL: "postgres", StoreKind.DYNAMODB: "dynamodb"}
_NEEDS_A_TABLE = ("schema", "key_column", "key_columns", "version_column", "columns")


def memory(stream: Stream, store: Store) -> Iterator[Objection]:
    """See that what decides is remembered for as long as a change can come again."""
    needed = store.memory_days_for(stream.retention_hours)
    if store.delete_memory_days < needed:
        sentence = (
            f"must be at least {needed:,}: what comes again within stream.retention_hours "
            f"({stream.retention_hours:,}), longest_pause_days ({store.longest_pause_days:,}) and longest_parking_days "
            f"({store.longest_parking_days:,}) together must meet it"
        )
        yield ("store", "delete_memory_days"), sentence


def sections(store: Store, written: Mapping[str, Any]) -> Iterator[Objection]:
    """See that only the section of this very store says something. An empty one says nothing."""
    for kind, section in _SECTIONS.items():
        if kind is not store.kind and written.get(section):
            yield ("store", section), f"is for another store than store.url names, which is {store.kind}"


def claims(claim_check: ClaimCheck, store: Store) -> Iterator[Objection]:
    """See that items that are too large have somewhere to go."""
    if store.dynamodb.oversize == "claim" and claim_check.bucket is None:
        yield ("store", "dynamodb", "oversize"), 'must be "park", or claim_check.bucket must name a bucket'


def own_table(checkpoint: Checkpoint, store: Store) -> Iterator[Objection]:
    """See that two tables of ours have two names."""
    if store.kind is StoreKind.DYNAMODB and store.dynamodb.table == checkpoint.table:
        yield ("store", "dynamodb", "table"), "must differ from checkpoint.table: that one's keys are others"


def front_office(sources: Mapping[str, Source], store: Store) -> Iterator[Objection]:
    """See that nothing is written into a back office."""
    back_offices = {
        f"sources.{name}{key}": url
        for name, source in sources.items()
        for key, url in [
            (".url", source.url),
            *((f".references.{reference}.url", table.url) for reference, table in source.references.items()),
        ]
        if url is not None
    }
    url = store.url.get_secret_value()
    if same := [path for path, other in back_offices.items() if is_one_file(url, other.get_secret_value())]:
        yield (
            ("store", "url"),
            f"must be another file than that of {' and '.join(same)}: nothing is written into a back office",
        )


def some_entity(entities: Mapping[str, Entity]) -> Iterator[Objection]:
    """See that there is something to write, into tables that are not ours."""
    if not entities:
        yield ("entities",), "must name at least one entity type: [entities.NAME]"
    for name, entity in entities.items():
        if entity.table is not None and entity.table.lower().startswith(OUR_TABLES):
            yield ("entities", name, "table"), f"must not begin with {OUR_TABLES}: those tables are Isthmus's own"
        if entity.table is None:
            for key in _NEEDS_A_TABLE:
                if ("schema_name" if key == "schema" else key) in entity.model_fields_set:
                    yield ("entities", name, key), "is nothing without a table"


def tables(entities: Mapping[str, Entity], store: Store) -> Iterator[Objection]:
    """See that each type has a table of its own, apart from ours. In DynamoDB several types may share one.

    A table that is named with its schema and without may be the same one, or not: only the database knows.
    """
    owners: dict[tuple[str, str], str] = {}
    schemas: dict[str, tuple[str, bool]] = {}
    for name, entity in entities.items():
        if entity.schema_name is not None and store.kind is not StoreKind.POSTGRESQL:
            yield ("entities", name, "schema"), "is for PostgreSQL only"
        if entity.table is None:
            continue
        place = ((entity.schema_name or "").lower(), entity.table.lower())
        if store.kind is StoreKind.DYNAMODB:
            yield from _own_attributes(name, entity, store)
            yield from _own_items(name, entity, entities)
        elif other := owners.get(place):
            yield ("entities", name, "table"), f"must differ from the table of entities.{other}"
        elif store.kind is StoreKind.POSTGRESQL and entity.schema_name == store.postgres.schema_name:
            yield ("entities", name, "schema"), "must differ from store.postgres.schema: that schema is Isthmus's own"
        else:
            other, named = schemas.setdefault(place[1], (name, bool(place[0])))
            if named != bool(place[0]):
                sentence = (
                    f"must be named with its schema, and so must that of entities.{other}: they may be the same one"
                )
                yield ("entities", name, "table"), sentence
        owners.setdefault(place, name)


def _own_items(name: str, entity: Entity, entities: Mapping[str, Entity]) -> Iterator[Objection]:
    """See that no key of this type makes an item of a type that is named before it."""
    for other, before in entities.items():
        if other == name:
            return
        if before.table == entity.table and not _apart(before, entity):
            sentence = (
                f"must differ from the table of entities.{other}, or constant text in key_columns must keep their "
                f'items apart, e.g. "{name}#{WHOLE}"'
            )
            yield ("entities", name, "table"), sentence
            return


def _apart(one: Entity, other: Entity) -> bool:
    try:
        return are_apart(_templates(one), _templates(other))
    except ValueError:
        # What is no template is a mistake of its own.
        return True


def _templates(entity: Entity) -> Mapping[str, str]:
    return entity.key_columns or dict.fromkeys(entity.keys, WHOLE)


def _own_attributes(name: str, entity: Entity, store: Store) -> Iterator[Objection]:
    ours = store.dynamodb
    if entity.table == ours.table:
        yield ("entities", name, "table"), "must differ from store.dynamodb.table: that table is Isthmus's own"
    for column in chain(entity.keys, [entity.version_column or ""], entity.columns.values()):
        if column.startswith(ours.attribute_prefix):
            sentence = (
                f"must not have the attribute {column}: what begins with {ours.attribute_prefix} is Isthmus's own"
            )
            yield ("entities", name, "table"), sentence


def columns(entities: Mapping[str, Entity]) -> Iterator[Objection]:
    """See that a column gets one value."""
    for name, entity in entities.items():
        if entity.version_column in entity.keys:
            rest = "key_columns" if entity.key_columns else "key_column"
            yield ("entities", name, "version_column"), f"must differ from {rest}"
        used = Counter([*entity.keys, entity.version_column, *entity.columns.values()])
        for field, column in entity.columns.items():
            if used[column] > 1:
                yield ("entities", name, "columns", field), "must be a column of its own: another value goes there"


def keys(entities: Mapping[str, Entity]) -> Iterator[Objection]:
    """See that two keys are never one row."""
    for name, entity in entities.items():
        if entity.key_columns and "key_column" in entity.model_fields_set:
            yield ("entities", name, "key_column"), "must not stand beside key_columns, which name where the key lies"
        try:
            KeyTemplates(name, entity.key_columns)
        except ValueError as error:
            yield ("entities", name, "key_columns"), f"does not tell keys apart: {error}"
