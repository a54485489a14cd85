"""How a batch is spread over threads: what has an order among itself stays in one chain. Pure, but for the threads."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Lock
from typing import NamedTuple

from isthmus.change import Change, Verb
from isthmus.consumer.stores.port import Delivered


class Segment(NamedTuple):
    """Changes between two markers, by their places in the batch, and the markers that follow them."""

    changes: list[int]
    markers: list[int]


def segments(batch: Sequence[Delivered]) -> Iterator[Segment]:
    """Cut a batch behind its markers: a fence is durable after what comes before its marker, and before the rest."""
    segment = Segment([], [])
    for place, delivered in enumerate(batch):
        if delivered.change.verb is Verb.MARKER:
            segment.markers.append(place)
            continue
        if segment.markers:
            yield segment
            segment = Segment([], [])
        segment.changes.append(place)
    if segment.changes or segment.markers:
        yield segment


def chains(batch: Sequence[Delivered], places: Iterable[int]) -> list[list[int]]:
    """Give the places in chains: changes with the same key, or the same ID, are in one, in their order.

    The ID too: a foreign producer may give one to two events, and the first of them shall take effect.
    """
    owner: dict[tuple[str, str], list[int]] = {}
    for place in places:
        change = batch[place].change
        names = _names(change)
        found: list[list[int]] = []
        for name in names:
            chain = owner.get(name)
            if chain is not None and all(chain is not other for other in found):
                found.append(chain)
        merged = found[0] if found else []
        for other in found[1:]:
            merged.extend(other)
            merged.sort()
            for member in other:
                owner.update(dict.fromkeys(_names(batch[member].change), merged))
        merged.append(place)
        owner.update(dict.fromkeys(names, merged))
    distinct = {id(chain): chain for chain in owner.values()}
    return sorted(distinct.values(), key=lambda chain: chain[0])


class Width:
    """How many requests run at once: halved by each throttled one, and widened slowly while all goes well."""

    def __init__(self, most: int) -> None:
        self._most = max(1, most)
        self._width = self._most
        self._done = 0
        self._lock = Lock()

    @property
    def now(self) -> int:
        """Give how many may run now."""
        return self._width

    def throttled(self) -> None:
        """Note that there is less capacity than was asked for."""
        with self._lock:
            self._width = max(1, self._width // 2)
            self._done = 0

    def succeeded(self) -> None:
        """Note that one went through. As many of them as run at once widen it by one."""
        with self._lock:
            self._done += 1
            if self._done >= self._width and self._width < self._most:
                self._width += 1
                self._done = 0


class Pool:
    """Runs actions in threads, as many at once as the width allows."""

    def __init__(self, width: Width, most: int) -> None:
        self._width = width
        self._threads = ThreadPoolExecutor(max(1, most), thread_name_prefix="dynamodb")

    def run(self, actions: Sequence[Callable[[], None]]) -> None:
        """Run all of them; return when all have ended.

        Once one has raised, no other one begins; those that run come to their end, and the first error is raised.
        """
        if len(actions) == 1:
            actions[0]()
            return
        left, running = list(reversed(actions)), set[Future[None]]()
        failure: BaseException | None = None
        while running or (left and failure is None):
            while left and failure is None and len(running) < self._width.now:
                running.add(self._threads.submit(left.pop()))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                failure = failure or future.exception()
        if failure is not None:
            raise failure

    def close(self) -> None:
        """End the threads. Safe to repeat."""
        self._threads.shutdown(wait=True)


def _names(change: Change) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("key", change.key), ("id", change.id)
