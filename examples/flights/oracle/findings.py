"""What the oracle found wrong: how often per kind, and the first few in words."""

from collections import Counter

MOST_SAMPLES = 20
"""As many as a person reads; a run that goes wrong altogether would otherwise fill the screen."""


class Findings:
    """Collects what is wrong. Every finding counts; only the first `MOST_SAMPLES` keep their words."""

    def __init__(self) -> None:
        self._by_kind: Counter[str] = Counter()
        self._samples: list[str] = []

    def add(self, kind: str, words: str) -> None:
        """Count one finding of a kind, e.g. `flight`, and keep its words while there is room."""
        self._by_kind[kind] += 1
        if len(self._samples) < MOST_SAMPLES:
            self._samples.append(f"{kind}: {words}")

    @property
    def count(self) -> int:
        """How many findings there are in all."""
        return self._by_kind.total()

    @property
    def samples(self) -> tuple[str, ...]:
        """The first findings, in words, each beginning with its kind."""
        return tuple(self._samples)

    @property
    def by_kind(self) -> dict[str, int]:
        """How many findings there are of each kind that occurred."""
        return dict(self._by_kind)
