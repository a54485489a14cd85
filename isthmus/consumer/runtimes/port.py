"""The ports of the local runtime: who decides records, how everything is stopped, what runs functions side by side."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from isthmus.consumer.feed import Record
from isthmus.lifecycle import Stop

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Processor(Protocol):
    """Decides the records of one shard. It is used by one task at a time."""

    def process(self, records: Sequence[Record]) -> None:
        """Decide every record, in order; return only when all are decided.

        Raises `Stopped` (a stop was requested: what is undecided will come again), `OwnershipLost` or `Fatal`,
        and nothing else.
        """
        ...

    def position(self) -> str | None:
        """Give the sequence number, as it came, of the last record before which everything is decided.

        None while nothing was decided by this processor.
        """
        ...

    def counts(self) -> Mapping[str, int]:
        """Give the outcomes since the shard's beginning, by name."""
        ...


class RuntimeStop(Stop, Protocol):
    """A stop that the runtime may request itself: when one shard fails, all must end."""

    def request(self) -> None:
        """Ask everything to stop. Safe to repeat, and from any task."""
        ...


class Task(Protocol[T_co]):
    """A function that runs beside its starter."""

    def done(self) -> bool:
        """Say whether it has ended. Never waits."""
        ...

    def result(self) -> T_co:
        """Wait until it has ended and give what it returned, or raise what it raised."""
        ...


class Spawn(Protocol):
    """Starts functions that run side by side: threads in production, greenlets in a simulation."""

    def __call__(self, name: str, function: Callable[[], T]) -> Task[T]:
        """Start the function under a name that helps in logs."""
        ...
