"""What producers and consumers say of themselves: two looks at their `/metrics`, some seconds apart."""

import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Final, NamedTuple

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from isthmus.change import lane_partition_key
from isthmus.console.resharding.advising import LaneLoad, Load
from isthmus.console.resharding.cover import Piece, lane_place, lanes_in
from isthmus.metricsum import summed

_SECONDS: Final = 3.0
"""How long an answer may take: who looks waits."""
_MOST_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Told:
    """One look, at all processes together. Counters are sums since each of them started."""

    throttled: float = 0.0
    """Bundles that Kinesis refused because a shard took too much."""
    bundles: float = 0.0
    bundle_bytes: float = 0.0
    records: Mapping[str, float] = field(default_factory=dict)
    """Decided, by shard."""
    changes: Mapping[str, float] = field(default_factory=dict)
    """Decided, by shard."""


class Rates(NamedTuple):
    """What happened between two looks, by the second."""

    throttled: float
    bundle_bytes: float | None
    """Of one bundle, as a mean since the producers began; None where none was published."""
    records: Mapping[str, float]
    """Decided, by shard."""
    changes: Mapping[str, float]
    """Decided, by shard."""


def scrape(urls: Sequence[str]) -> tuple[Told, list[str]]:
    """Look at several processes; give what they told, and a sentence for each that could not be asked."""
    families: list[Metric] = []
    troubles = list[str]()
    # A proxy of the environment must not stand between us and our own machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for url in urls:
        try:
            with opener.open(url, timeout=_SECONDS) as answer:
                text = answer.read(_MOST_BYTES).decode()
            families += text_string_to_metric_families(text)
        except (OSError, HTTPException, ValueError) as error:
            troubles.append(f"{url} does not answer with metrics: {getattr(error, 'reason', None) or error}")
    return told(summed(families)), troubles


def told(families: Iterable[Metric]) -> Told:
    """Take what is needed out of metrics."""
    totals = {"throttled": 0.0, "bundles": 0.0, "bytes": 0.0}
    records: dict[str, float] = {}
    changes: dict[str, float] = {}
    for family in families:
        for sample in family.samples:
            labels, shard = sample.labels, sample.labels.get("shard", "")
            match sample.name:
                case "isthmus_retries_total" if (labels["part"], labels["cause"]) == ("publisher", "throttled"):
                    totals["throttled"] += sample.value
                case "isthmus_bundle_bytes_count":
                    totals["bundles"] += sample.value
                case "isthmus_bundle_bytes_sum":
                    totals["bytes"] += sample.value
                case "isthmus_records_total":
                    records[shard] = records.get(shard, 0.0) + sample.value
                case "isthmus_changes_total":
                    changes[shard] = changes.get(shard, 0.0) + sample.value
                case _:
                    pass
    return Told(totals["throttled"], totals["bundles"], totals["bytes"], records, changes)


def rates(before: Told, after: Told, seconds: float) -> Rates:
    """Give what happened between two looks.

    A process that was started anew meanwhile counts from 0, and one that took a shard meanwhile tells of all that it
    ever decided of it: neither is a rate.
    """
    return Rates(
        throttled=max(0.0, after.throttled - before.throttled) / seconds,
        bundle_bytes=after.bundle_bytes / after.bundles if after.bundles else None,
        records=_by_shard(before.records, after.records, seconds),
        changes=_by_shard(before.changes, after.changes, seconds),
    )


def even_lanes(found: Rates, pieces: Sequence[Piece], lanes: int) -> list[LaneLoad]:
    """Give loads of lanes out of what was decided by shard, as if a shard's lanes were alike.

    Metrics name no lanes. What was decided is what arrived only where consumers keep up. Bytes are those of a mean
    bundle.
    """
    loads = []
    for piece in pieces:
        inside = lanes_in(piece, lanes)
        records = found.records.get(piece.id, 0.0) / max(1, len(inside))
        changes = found.changes.get(piece.id, 0.0) / max(1, len(inside))
        load = Load(records * (found.bundle_bytes or 0.0), records, changes)
        loads += [LaneLoad(lane_partition_key(lane), lane_place(lane, lanes), load) for lane in inside]
    return loads


def _by_shard(before: Mapping[str, float], after: Mapping[str, float], seconds: float) -> dict[str, float]:
    return {shard: max(0.0, count - before[shard]) / seconds for shard, count in after.items() if shard in before}
