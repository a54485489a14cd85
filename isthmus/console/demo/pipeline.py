"""The pipeline's two processes, as a user would start them."""

import socket
from pathlib import Path

from isthmus.console.children import Child
from isthmus.console.demo.plan import Place
from isthmus.errors import Fatal

_END_SECONDS = 12.0
"""A soft stop takes 10 s at most."""


def free_port() -> int:
    """Give a port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Pipeline:
    """`isthmus produce` and `isthmus consume`, each in a process of its own."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.producer = self._start("produce")
        self.consumer = self._start("consume")

    def check(self) -> None:
        """Raise `Fatal` when one of them has ended by itself."""
        for child in (self.producer, self.consumer):
            code = child.poll()
            if code is not None:
                raise Fatal(f"`isthmus {child.name}` ended with code {code}. The end of its log:\n{child.log_tail()}")

    def end(self) -> None:
        """End both, softly: the producer first, as one would."""
        for child in (self.producer, self.consumer):
            child.end(_END_SECONDS)

    def peak_rss_mb(self) -> dict[str, float]:
        """Give what each used at most. Known once they have ended."""
        return {"producer": self.producer.peak_rss_mb, "consumer": self.consumer.peak_rss_mb}

    def _start(self, command: str) -> Child:
        log: Path = self._place.logs / f"{command}.log"
        return Child(command, "isthmus.console.main", [command, "--config", str(self._place.settings)], log)
