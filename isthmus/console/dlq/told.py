"""What became of the letters of one run. Pure."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from isthmus.consumer.redrive import StillPoison

_NAMED: Final = 20
"""Messages that are not ours, of which more is said than their number."""


class StoppedAt(NamedTuple):
    """The first letter that is poison still for a reason, and how many are."""

    letters: int
    key: str
    message: str


@dataclass(slots=True)
class Told:
    """How it stands."""

    looked: int = 0
    """Messages that were looked at."""
    chosen: int = 0
    done: int = 0
    """Chosen, and nothing is left to do for them."""
    lost: int = 0
    """Chosen, but without their event."""
    old: int = 0
    """Chosen, but parked too long ago."""
    foreign: int = 0
    named: list[dict[str, Any]] = field(default_factory=list)
    """The first of those that are not ours."""
    stopped: dict[str, StoppedAt] = field(default_factory=dict)
    """By reason: those that are poison still."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """Of changes: a letter may become several, and with one come others of its key out of the lot."""
    more: bool = False
    """Whether there may be more messages than were looked at."""

    @property
    def parked(self) -> int:
        """How many letters are poison still."""
        return sum(each.letters for each in self.stopped.values())

    @property
    def all_done(self) -> bool:
        """Whether nothing is left to do for all that were chosen."""
        return self.done == self.chosen

    def stop(self, key: str, poison: StillPoison) -> None:
        """Note a letter that is poison still."""
        first = self.stopped.get(poison.reason, StoppedAt(0, key, poison.message))
        self.stopped[poison.reason] = first._replace(letters=first.letters + 1)

    def name(self, foreign: dict[str, Any]) -> None:
        """Note a message that is not ours."""
        self.foreign += 1
        if len(self.named) < _NAMED:
            self.named.append(foreign)

    def as_json(self) -> dict[str, Any]:
        """Give it in the form that `isthmus dlq redrive --json` documents."""
        return {
            "looked": self.looked,
            "more": self.more,
            "letters": {
                "chosen": self.chosen,
                "done": self.done,
                "parked": self.parked,
                "lost": self.lost,
                "old": self.old,
            },
            "outcomes": dict(sorted(self.outcomes.items())),
            "stopped": [
                {"reason": reason, "letters": each.letters, "first": each.key, "message": each.message}
                for reason, each in sorted(self.stopped.items())
            ],
            "foreign": {"messages": self.foreign, "first": self.named},
        }
