"""The one home of randomness. Nothing that decides about a change uses it: only jitter and names do."""

import random
import uuid
from typing import Protocol


class Chance(Protocol):
    """A source of randomness. A simulation passes a seeded one."""

    def random(self) -> float:
        """Give a number from 0 up to, and without, 1."""
        ...


def system_chance() -> Chance:
    """Give randomness seeded by the operating system."""
    return random.SystemRandom()


def unique_name() -> str:
    """Give a name that nobody else has: 12 hex digits."""
    return uuid.uuid4().hex[:12]


def seeded_chance(seed: str) -> Chance:
    """Give randomness that is the same for the same seed, on every machine: for plans that shall be replayed."""
    return random.Random(seed)  # noqa: S311 - a plan of faults is to be replayed, not to be kept secret
