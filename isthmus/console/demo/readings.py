"""What the running processes say of themselves: their metrics, read as anybody may read them."""

import math
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException

from prometheus_client.parser import text_string_to_metric_families

_SECONDS = 1.0


@dataclass(slots=True)
class ShardReading:
    """One shard."""

    outcomes: dict[str, int] = field(default_factory=dict)
    behind_s: float = 0.0
    buffered: int = 0


@dataclass(slots=True)
class Readings:
    """One look at both processes. Empty where a process does not answer."""

    producer_up: bool = False
    consumer_up: bool = False
    shards: dict[str, ShardReading] = field(default_factory=dict)
    published: int = 0
    unacknowledged_bytes: int = 0
    freshness: list[tuple[float, float]] = field(default_factory=list)
    """Cumulative (upper bound in seconds, count)."""

    def outcome(self, name: str) -> int:
        """Give an outcome's count over all shards."""
        return sum(shard.outcomes.get(name, 0) for shard in self.shards.values())

    def freshness_quantile(self, quantile: float, since: "Readings") -> float | None:
        """Give the bucket bound, in seconds, under which that share of the changes since an earlier look lies."""
        earlier = dict(since.freshness)
        counts = [(bound, count - earlier.get(bound, 0.0)) for bound, count in self.freshness]
        total = counts[-1][1] if counts else 0.0
        if not total:
            return None
        return next((bound for bound, count in counts if count >= quantile * total), None)


def read(producer_port: int, consumer_port: int) -> Readings:
    """Look at both processes' `/metrics` on loopback."""
    found = Readings()
    found.producer_up = _read(producer_port, found)
    found.consumer_up = _read(consumer_port, found)
    return found


def _read(port: int, found: Readings) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=_SECONDS) as answer:
            text = answer.read().decode()
    except (OSError, HTTPException):
        # Not there yet, being restarted, or killed while it answered.
        return False
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            _take(found, sample.name, sample.labels, sample.value)
    return True


def _take(found: Readings, name: str, labels: dict[str, str], value: float) -> None:
    if "shard" in labels:
        shard = found.shards.setdefault(labels["shard"], ShardReading())
        if name == "isthmus_changes_total":
            shard.outcomes[labels["outcome"]] = int(value)
        elif name == "isthmus_shard_behind_seconds":
            shard.behind_s = value
        elif name == "isthmus_shard_buffered_records":
            shard.buffered = int(value)
    elif name == "isthmus_changes_published_total":
        found.published += int(value)
    elif name == "isthmus_unacknowledged_bytes":
        found.unacknowledged_bytes = int(value)
    elif name == "isthmus_freshness_seconds_bucket":
        found.freshness.append((math.inf if labels["le"] == "+Inf" else float(labels["le"]), value))
