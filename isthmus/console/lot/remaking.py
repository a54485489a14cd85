"""What waits, made anew with the code of now: decoded, its payload fetched, its row translated.

A change that is good as it is comes back as it is: the front office refused it then, and may take it now.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Final, Protocol

from isthmus.change import Change, Verb
from isthmus.codec import DEFAULT_LIMITS, Limits, NotJson, Undecodable, decode, json_value
from isthmus.consumer.names import may_be_named_so
from isthmus.consumer.stores.lot import Waiting
from isthmus.errors import Poison
from isthmus.payloads import Payloads
from isthmus.rawrow import row_in

LOT_LIMITS: Final = replace(DEFAULT_LIMITS, max_bytes=2 * DEFAULT_LIMITS.max_bytes)
"""A parked change holds its payload itself, which alone may be as large as the largest record."""
_PAYLOAD_LIMITS: Final = replace(DEFAULT_LIMITS, max_depth=DEFAULT_LIMITS.max_depth - 2)
"""As on the way from the stream: around a payload come the event and a bundle's array."""

ROW_NOT_KEPT: Final = "row-not-kept"
BAD_ROW: Final = "bad-row"


class Rows(Protocol):
    """Translates rows of the sources of now."""

    def translate(self, waiting: Change, row: Mapping[str, Any]) -> Sequence[Change]:
        """Give the changes of a row, none where it is filtered, with version and epoch of the change that waits.

        An untranslated change comes back where the row cannot be translated now either. Raises `Poison` for a source
        that nobody knows any more, and `Fatal` when the back office's reference tables cannot be read.
        """
        ...


class Remaking:
    """A `Remake`. `payloads` gives the store of payloads when it is first needed, or None where there is none."""

    def __init__(self, rows: Rows, payloads: Callable[[], Payloads | None]) -> None:
        self._rows = rows
        self._open_payloads = payloads

    def __call__(self, waiting: Waiting) -> list[Change]:
        """Give the changes."""
        return [made for change in changes_in(waiting) for made in self._made(change)]

    def _made(self, change: Change) -> Sequence[Change]:
        if change.verb is Verb.MARKER:
            # It fences what follows it in its lane. That place has long passed.
            return ()
        if change.dataref and change.data is None:
            change = self._redeemed(change)
        return self._translated(change) if change.verb is Verb.UNTRANSLATED else (change,)

    @cached_property
    def _payloads(self) -> Payloads | None:
        return self._open_payloads()

    def _redeemed(self, change: Change) -> Change:
        if self._payloads is None:
            raise Poison("payload-missing", "The settings name no bucket of payloads.")
        try:
            data = json_value(self._payloads.get(change.dataref), _PAYLOAD_LIMITS)
        except NotJson as error:
            raise Poison(error.reason, error.message) from None
        return change._replace(data=data, dataref="")

    def _translated(self, change: Change) -> list[Change]:
        made = self._rows.translate(change, raw_row(change))
        for each in made:
            if each.verb is Verb.UNTRANSLATED:
                raise Poison(each.data["reason"], each.data["message"])
        # Detected once: it is no newer because it was translated again, and its row is the one that was hashed then.
        return [
            each._replace(time=change.time, rowhash=change.rowhash, traceparent=change.traceparent) for each in made
        ]


def changes_in(waiting: Waiting, limits: Limits = LOT_LIMITS) -> list[Change]:
    """Give the changes that wait there, as they are. Raises `Poison` where one of them cannot be read."""
    found = list[Change]()
    for item in decode(waiting.event, limits):
        if isinstance(item, Undecodable):
            raise Poison(item.reason, item.message)
        if not waiting.decodable and item.verb is not Verb.MARKER and not may_be_named_so(item):
            raise Poison("bad-key", "empty, over-long, with a NUL, or kept for Isthmus")
        found.append(item)
    return found


def raw_row(change: Change) -> dict[str, Any]:
    """Give the row that an untranslated change carries, as its source showed it. Raises `Poison` where it has none."""
    data = change.data if isinstance(change.data, dict) else {}
    if "row" not in data:
        lost = "The row itself was not kept, for it was larger than a record. Have the back office touch it."
        raise Poison(ROW_NOT_KEPT, lost)
    row, words = data["row"], data.get("types", {})
    if not (isinstance(row, dict) and isinstance(words, dict)):
        raise Poison(BAD_ROW, "The untranslated change holds no row.")
    try:
        return row_in(row, words)
    except (ValueError, TypeError):
        raise Poison(BAD_ROW, "A value of the row is not of the type that is said of it.") from None
