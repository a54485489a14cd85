"""What tests of resharding ask a shop: its shards as `isthmus shards list` tells them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.config import Config

from isthmus.console.children import Child
from tests.fakes.shop import Running, Shop


def shards(shop: Shop) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shop.ask("shards", "list")["shards"]
    return found


def states(shop: Shop) -> dict[str, list[str]]:
    """Give the shards by state, named by their numbers."""
    found: dict[str, list[str]] = {}
    for row in shards(shop):
        found.setdefault(row["state"], []).append(short(row["id"]))
    return found


def short(shard: str) -> str:
    return str(int(shard.removeprefix("shardId-")))


def long(number: int) -> str:
    return f"shardId-{number:012d}"


def parts(shop: Shop) -> list[float]:
    """Give the parts of the open shards, in their order."""
    opened = sorted((int(row["first_hash"]), row["share"]) for row in shards(shop) if row["state"] == "open")
    return [share for _, share in opened]


@contextmanager
def asked() -> Iterator[set[str]]:
    """Give the operations that any client is asked for meanwhile."""
    seen: set[str] = set()
    real = BaseClient._make_api_call

    def noting(self: BaseClient, operation: str, parameters: Any) -> Any:
        seen.add(operation)
        return real(self, operation, parameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", noting)
        yield seen


def begun(shop: Shop, *arguments: str) -> Running:
    """Start a command of the shards in a process of its own."""
    log = shop.folder / f"shards-{len(shop.children)}.log"
    command = ["shards", *arguments, "--config", str(shop.config)]
    running = Running(Child("shards", "isthmus.console.main", command, log))
    shop.children.append(running)
    return running


def opened(shop: Shop) -> list[str]:
    """Give the open shards, in the order of their ranges."""
    rows = sorted((int(row["first_hash"]), row["id"]) for row in shards(shop) if row["state"] == "open")
    return [name for _, name in rows]


def client_of(url: str) -> Any:
    """Give a client of Kinesis with nothing of ours."""
    return boto3.client(
        "kinesis",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - the emulator takes any
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )
