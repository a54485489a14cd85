"""What must hold between values of the settings: sections in, objections out.

Nothing else is looked at, but for which databases are one file.

A relation is asked only when the sections it needs are right in themselves.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from isthmus.addresses import is_loopback
from isthmus.settings.databases import is_one_file
from isthmus.settings.models import Aws, ClaimCheck, Entity, Metrics, Publisher, Source, Store, Stream

Objection = tuple[tuple[str, ...], str]
"""The key path, and what is allowed there."""

ENVELOPE_BYTES = 16 * 1024
"""Room for a change's attributes beside its payload: a key of 1,024 characters, four bytes each, stands there twice."""
OUR_TABLES = "isthmus_"


def _credentials(aws: Aws) -> Iterator[Objection]:
    if aws.secret_access_key and not aws.access_key_id:
        yield ("aws", "access_key_id"), "is required beside secret_access_key"
    if aws.access_key_id and not aws.secret_access_key:
        yield ("aws", "secret_access_key"), "is required beside access_key_id"


def _lanes(stream: Stream) -> Iterator[Objection]:
    if stream.lanes < stream.shards:
        yield ("stream", "lanes"), f"must be at least the number of shards, {stream.shards}: a lane lies in one shard"


def _bundles(publisher: Publisher) -> Iterator[Objection]:
    if publisher.max_bundle_bytes > publisher.max_request_bytes:
        yield ("publisher", "max_bundle_bytes"), f"must be at most max_request_bytes, {publisher.max_request_bytes:,}"
    if publisher.max_request_bytes > publisher.max_unacknowledged_bytes:
        limit = publisher.max_unacknowledged_bytes
        yield ("publisher", "max_request_bytes"), f"must be at most max_unacknowledged_bytes, {limit:,}"


def _threshold(claim_check: ClaimCheck, publisher: Publisher) -> Iterator[Objection]:
    most = publisher.max_bundle_bytes - ENVELOPE_BYTES
    if claim_check.bucket is not None and claim_check.threshold_bytes > most:
        yield (
            ("claim_check", "threshold_bytes"),
            f"must be at most {most:,}, which is publisher.max_bundle_bytes less {ENVELOPE_BYTES:,} for the envelope",
        )


def _memory(stream: Stream, store: Store) -> Iterator[Objection]:
    if store.delete_memory_days * 24 < stream.retention_hours:
        yield (
            ("store", "delete_memory_days"),
            f"must be at least stream.retention_hours, {stream.retention_hours:,}: what is read again must meet it",
        )


def _ports(metrics: Metrics) -> Iterator[Objection]:
    if metrics.producer_port == metrics.consumer_port != 0:
        yield ("metrics", "consumer_port"), "must differ from producer_port (0: any free port)"


def _some_source(sources: Mapping[str, Source]) -> Iterator[Objection]:
    if not sources:
        yield ("sources",), "must name at least one source: [sources.NAME]"


def _front_office(sources: Mapping[str, Source], store: Store) -> Iterator[Objection]:
    back_offices = {
        f"sources.{name}{key}": url
        for name, source in sources.items()
        for key, url in [
            (".url", source.url),
            *((f".references.{reference}.url", table.url) for reference, table in source.references.items()),
        ]
        if url is not None
    }
    front_office = store.url.get_secret_value()
    if same := [path for path, url in back_offices.items() if is_one_file(front_office, url.get_secret_value())]:
        yield (
            ("store", "url"),
            f"must be another file than that of {' and '.join(same)}: nothing is written into a back office",
        )


def _entity_tables(entities: Mapping[str, Entity]) -> Iterator[Objection]:
    if not entities:
        yield ("entities",), "must name at least one entity type: [entities.NAME]"
    owners: dict[str, str] = {}
    for name, entity in entities.items():
        table = entity.table.lower()
        if table.startswith(OUR_TABLES):
            yield ("entities", name, "table"), f"must not begin with {OUR_TABLES}: those tables are Isthmus's own"
        if other := owners.get(table):
            yield ("entities", name, "table"), f"must differ from the table of entities.{other}"
        owners.setdefault(table, name)


def _entity_columns(entities: Mapping[str, Entity]) -> Iterator[Objection]:
    for name, entity in entities.items():
        if entity.version_column == entity.key_column:
            yield ("entities", name, "version_column"), "must differ from key_column"
        used = Counter([entity.key_column, entity.version_column, *entity.columns.values()])
        for field, column in entity.columns.items():
            if used[column] > 1:
                yield ("entities", name, "columns", field), "must be a column of its own: another value goes there"


Relation = Callable[..., Iterator[Objection]]

RELATIONS: tuple[tuple[tuple[str, ...], Relation], ...] = (
    (("aws",), _credentials),
    (("stream",), _lanes),
    (("publisher",), _bundles),
    (("claim_check", "publisher"), _threshold),
    (("stream", "store"), _memory),
    (("metrics",), _ports),
    (("sources",), _some_source),
    (("sources", "store"), _front_office),
    (("entities",), _entity_tables),
    (("entities",), _entity_columns),
)


def objections(sections: Mapping[str, Any], written: Mapping[str, Any]) -> list[Objection]:
    """Give every objection of every relation whose sections are there. `written` is the file as it was read."""
    found = [
        objection
        for needs, relation in RELATIONS
        if all(need in sections for need in needs)
        for objection in relation(*(sections[need] for need in needs))
    ]
    if "aws" in sections:
        found.extend(_plain_secret(sections["aws"], written.get("aws", {})))
    return found


def _plain_secret(aws: Aws, written: Mapping[str, Any]) -> Iterator[Objection]:
    host = urlsplit(aws.endpoint_url or "").hostname or ""
    if isinstance(written.get("secret_access_key"), str) and not is_loopback(host):
        yield (
            ("aws", "secret_access_key"),
            'must be {env = "NAME"} or {file = "PATH"}; in plain only beside a loopback endpoint_url (an emulator)',
        )
