"""Metrics of several processes as one: families of one name become one, sample by sample. Pure.

Counters and histograms are added up. Of a gauge the highest value stays: what carries a shard is told by one process,
and for the rest (something is away, something waits) the worst is what counts.
"""

from collections.abc import Iterable

from prometheus_client import Metric

_ADDED = frozenset({"counter", "histogram", "summary"})
_CREATED = "_created"

_Sample = tuple[str, tuple[tuple[str, str], ...]]


def summed(families: Iterable[Metric]) -> list[Metric]:
    """Give one family for each name, in the order in which they came first."""
    first: dict[str, Metric] = {}
    values: dict[str, dict[_Sample, float]] = {}
    for family in families:
        known = first.setdefault(family.name, family)
        held = values.setdefault(family.name, {})
        for sample in family.samples:
            place = (sample.name, tuple(sorted(sample.labels.items())))
            before = held.get(place)
            held[place] = sample.value if before is None else _together(known.type, sample.name, before, sample.value)
    return [_family(first[name], held) for name, held in values.items()]


def only_added(families: Iterable[Metric]) -> list[Metric]:
    """Leave out what is true only of a process that lives."""
    return [family for family in families if family.type in _ADDED]


def _together(kind: str, name: str, one: float, other: float) -> float:
    if name.endswith(_CREATED):
        return min(one, other)
    return one + other if kind in _ADDED else max(one, other)


def _family(like: Metric, held: dict[_Sample, float]) -> Metric:
    made = Metric(like.name, like.documentation, like.type)
    for (name, labels), value in held.items():
        made.add_sample(name, dict(labels), value)
    return made
