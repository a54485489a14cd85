"""The ports of the child: the line to the daemon, and who decides records."""

from collections.abc import Sequence
from typing import Protocol

from isthmus.consumer.feed import Place, Record


class Lines(Protocol):
    """The line to the daemon. Used by one task: the protocol is a strict alternation of questions and answers."""

    def read_line(self) -> bytes | None:
        """Wait for the daemon's next line. None when it has closed the line; half a line is never given.

        Raises `Fatal` when the line is no longer ours, and OSError.
        """
        ...

    def write_line(self, line: bytes) -> None:
        """Give the daemon a line, whole and at once. `line` is without its end.

        Raises `Fatal` when the line is no longer ours, and OSError when the daemon is gone.
        """
        ...


class ShardDecider(Protocol):
    """Decides the records of one shard; `isthmus.consumer.processor.ShardProcessor` is one."""

    def process(self, records: Sequence[Record]) -> None:
        """Decide every record, in order; return only when all are decided.

        Raises `Stopped` at a record's end when a stop was requested; the rest comes again. Whatever else it raises ends
        the process.
        """
        ...

    def place(self) -> Place | None:
        """Give the place, as it came, of the last record up to which everything is decided; None while nothing is."""
        ...
