"""Through the parking lot, a page at a time: however much lies there, memory holds a page."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, Protocol, TypeVar

from isthmus.consumer.stores.lot import LotReader, ParkedKey, Selection, Waiting

T = TypeVar("T")

_KEYS: Final = 500
_FIRST: Final = 10
"""Changes of the first page of a key: nobody knows yet how large they are. One may have 10 MiB."""
_MOST: Final = 500
_PAGE_BYTES: Final = 16 * 1024 * 1024


class Ask(Protocol):
    """Runs a question, or a deed that is safe to repeat, and decides how long to wait for an answer."""

    def __call__(self, action: Callable[[], T], /) -> T:
        """Give what the action gives."""
        ...


def at_once(action: Callable[[], T]) -> T:
    """Ask once: what is away is an answer."""
    return action()


def keys_of(lot: LotReader, selection: Selection, *, ask: Ask = at_once, page: int = _KEYS) -> Iterator[ParkedKey]:
    """Give every key that is selected, in the order of their text. What is parked meanwhile behind it is given too."""
    after = ""
    while found := ask(partial(lot.parked_keys, selection, after=after, most=page)):
        yield from found
        if len(found) < page:
            return
        after = found[-1].key


def changes_of(lot: LotReader, key: str) -> Iterator[Waiting]:
    """Give everything that waits of a key, in the order of the versions, in pages by size."""
    skip, most = 0, _FIRST
    while found := lot.parked_of(key, skip=skip, most=most):
        yield from found
        if len(found) < most:
            return
        skip += len(found)
        size = sum(len(waiting.event) for waiting in found) // len(found)
        most = max(1, min(_MOST, _PAGE_BYTES // (size + 1)))
