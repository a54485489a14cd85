"""Finds the LocalStack that runs on this machine, where `localstack-client` looks, and says whether it will do."""

import contextlib
import http.client
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from localstack_client.config import get_service_endpoint  # type: ignore[import-untyped]

from isthmus.addresses import endpoint_objection, is_loopback
from isthmus.aws import AwsAccess, classify, client
from isthmus.console.dev.standin import HOST, REGION

_ASKED: Mapping[Literal["dynamodb", "kinesis", "s3", "sqs"], str] = {
    "dynamodb": "list_tables",
    "kinesis": "list_streams",
    "s3": "list_buckets",
    "sqs": "list_queues",
}
"""What the suites need, and a question that makes each begin: LocalStack may start a service at its first call."""
_ANSWER_SECONDS = 5.0
_WAKING_SECONDS = 120.0
"""One in a container fetches its Kinesis when it is first asked."""


class Found(NamedTuple):
    """What was found: an address, or why there is none to use."""

    url: str = ""
    why: str = ""


def find() -> Found:
    """Look where `AWS_ENDPOINT_URL`, or else `LOCALSTACK_HOST`, leads, or else at port 4566 of this machine."""
    try:
        named = str(get_service_endpoint("kinesis"))
    except RuntimeError as error:
        return Found(why=f"LOCALSTACK_HOST: {error}")
    if endpoint_objection(named) or not is_loopback(urlsplit(named).hostname or ""):
        # Suites write, and remove what they wrote: never where a name leads out of this machine.
        return Found(why=f"{named} is not on this machine")
    parts = urlsplit(named)
    if parts.scheme != "http":
        return Found(why=f"{named} wants TLS, and no certificate of LocalStack is trusted")
    url = f"http://{HOST}:{parts.port or 80}"
    why = objection(url)
    return Found(why=f"{named} {why}") if why else Found(url)


def objection(url: str) -> str:
    """Say why what is at an address of this machine is no LocalStack to use, as the rest of a sentence, or nothing.

    Makes its services begin, and waits for them.
    """
    if (health := _asked(url, "/_localstack/health")) is None:
        return "does not answer as LocalStack does"
    # Others answer at the path above too, for those who only ask whether somebody is there.
    if (info := _asked(url, "/_localstack/info")) is None or "session_id" not in info:
        return "is no LocalStack, though it answers like one"
    states = _states(health)
    if missing := [service for service in _ASKED if states.get(service) not in {"available", "running"}]:
        return f"does not serve {', '.join(missing)}"
    access = AwsAccess(url, REGION, "test", "test", patience=_WAKING_SECONDS)
    for service, question in _ASKED.items():
        with contextlib.closing(client(access, service)) as asked:
            try:
                getattr(asked, question)()
            except Exception as error:  # noqa: BLE001 - whatever it is, the sentence says it
                return f"does not serve {service}: {classify(error)}"
    states = _states(_asked(url, "/_localstack/health") or {})
    if late := [service for service in _ASKED if states.get(service) != "running"]:
        return f"says that {', '.join(late)} does not run"
    return ""


def _states(health: Mapping[str, Any]) -> Mapping[str, Any]:
    services = health.get("services")
    return services if isinstance(services, dict) else {}


def _asked(url: str, path: str) -> Mapping[str, Any] | None:
    """Give the JSON object at a path, or None for anything else."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(HOST, parts.port, timeout=_ANSWER_SECONDS)
    with contextlib.closing(connection):
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            told = json.loads(answer.read()) if answer.status == HTTPStatus.OK else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
    return told if isinstance(told, dict) else None
