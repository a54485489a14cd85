"""What the running processes say of themselves: their metrics, read as anybody may read them."""

import math
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPException

from prometheus_client.parser import text_string_to_metric_families

_SECONDS = 1.0


@dataclass(slots=True)
class ShardReading:
    """One shard, over all processes that have read it."""

    outcomes: Counter[str] = field(default_factory=Counter)
    behind_s: float = 0.0
    buffered: int = 0


@dataclass(slots=True)
class Readings:
    """One look at all processes. Empty where a process does not answer."""

    producer_up: bool = False
    consumers_up: tuple[bool, ...] = ()
    shards: dict[str, ShardReading] = field(default_factory=dict)
    published: int = 0
    unacknowledged_bytes: int = 0
    freshness: Counter[float] = field(default_factory=Counter)
    """Cumulative counts, by upper bound in seconds."""

    def outcome(self, name: str) -> int:
        """Give an outcome's count over all shards."""
        return sum(shard.outcomes[name] for shard in self.shards.values())

    def outcomes(self) -> Counter[str]:
        """Give the counts of all outcomes over all shards."""
        return sum((shard.outcomes for shard in self.shards.values()), Counter())

    def freshness_quantile(self, quantile: float, since: "Readings") -> float | None:
        """Give the bucket bound, in seconds, under which that share of the changes since an earlier look lies."""
        counts = [(bound, self.freshness[bound] - since.freshness[bound]) for bound in sorted(self.freshness)]
        total = counts[-1][1] if counts else 0
        if total <= 0:
            # Nothing came since, or a process was killed, and its counts are gone with it.
            return None
        return next((bound for bound, count in counts if count >= quantile * total), None)


def read(producer_port: int, consumer_ports: Sequence[int]) -> Readings:
    """Look at all processes' `/metrics` on loopback."""
    found = Readings()
    found.producer_up = _read(producer_port, found)
    found.consumers_up = tuple(_read(port, found) for port in consumer_ports)
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
            take(found, sample.name, sample.labels, sample.value)
    return True


def take(found: Readings, name: str, labels: dict[str, str], value: float) -> None:
    """Take one sample in. Counts of several processes are added; of how far behind one is, the worst stays."""
    if "shard" in labels:
        shard = found.shards.setdefault(labels["shard"], ShardReading())
        if name == "isthmus_changes_total":
            shard.outcomes[labels["outcome"]] += int(value)
        elif name == "isthmus_shard_behind_seconds":
            shard.behind_s = max(shard.behind_s, value)
        elif name == "isthmus_shard_buffered_records":
            shard.buffered += int(value)
    elif name == "isthmus_changes_published_total":
        found.published += int(value)
    elif name == "isthmus_unacknowledged_bytes":
        found.unacknowledged_bytes = int(value)
    elif name == "isthmus_freshness_seconds_bucket":
        found.freshness[math.inf if labels["le"] == "+Inf" else float(labels["le"])] += int(value)
