"""What must hold between values of the settings: sections in, objections out.

Nothing else is looked at, but for which databases are one file.

A relation is asked only when the sections it needs are right in themselves.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from isthmus.addresses import is_loopback
from isthmus.settings import declared, gates, store_relations
from isthmus.settings.models import Aws, ClaimCheck, Endpoints, Metrics, Publisher, Source, Stream
from isthmus.settings.store_relations import Objection

ENVELOPE_BYTES = 16 * 1024
"""Room for a change's attributes beside its payload: a key of 1,024 characters, four bytes each, stands there twice."""


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


def _ports(metrics: Metrics) -> Iterator[Objection]:
    if metrics.producer_port == metrics.consumer_port != 0:
        yield ("metrics", "consumer_port"), "must differ from producer_port (0: any free port)"


def _some_source(sources: Mapping[str, Source]) -> Iterator[Objection]:
    if not sources:
        yield ("sources",), "must name at least one source: [sources.NAME]"


Relation = Callable[..., Iterator[Objection]]

RELATIONS: tuple[tuple[tuple[str, ...], Relation], ...] = (
    (("aws",), _credentials),
    (("stream",), _lanes),
    (("publisher",), _bundles),
    (("claim_check", "publisher"), _threshold),
    (("stream", "store"), store_relations.memory),
    (("metrics",), _ports),
    (("sources",), _some_source),
    (("sources", "store"), store_relations.front_office),
    (("claim_check", "store"), store_relations.claims),
    (("checkpoint", "store"), store_relations.own_table),
    (("gate", "gates"), gates.watching),
    (("gate", "entities"), gates.processes),
    (("gates",), declared.forms),
    (("gates", "gate", "sources", "entities"), declared.scopes),
    (("entities",), store_relations.some_entity),
    (("entities", "store"), store_relations.tables),
    (("entities",), store_relations.columns),
    (("entities",), store_relations.keys),
)


def objections(sections: Mapping[str, Any], written: Mapping[str, Any]) -> list[Objection]:
    """Give every objection of every relation whose sections are there. `written` is the file as it was read."""
    found = [
        objection
        for needs, relation in RELATIONS
        if all(need in sections for need in needs)
        for objection in relation(*(sections[need] for need in needs))
    ]
    if "store" in sections:
        found.extend(store_relations.sections(sections["store"], written["store"]))
    if "aws" in sections:
        found.extend(_plain_secret(sections["aws"], written.get("aws", {})))
    if "gates" in sections:
        found.extend(declared.plain_tokens(sections["gates"], written.get("gates", {})))
    return found


def _plain_secret(aws: Aws, written: Mapping[str, Any]) -> Iterator[Objection]:
    here = all(
        is_loopback(urlsplit(aws.access.endpoint(service) or "").hostname or "") for service in Endpoints.model_fields
    )
    if isinstance(written.get("secret_access_key"), str) and not here:
        yield (
            ("aws", "secret_access_key"),
            'must be {env = "NAME"} or {file = "PATH"}; in plain only beside a loopback endpoint_url (an emulator)',
        )
