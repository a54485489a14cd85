"""Held changes made anew, as they were delivered, and the port of those who decide them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

from isthmus.attempts import Attempts
from isthmus.change import Change, Verb
from isthmus.codec import DEFAULT_LIMITS, NotJson, Undecodable, decode, json_value
from isthmus.consumer.stores.held import Held
from isthmus.consumer.stores.port import Delivered, Refusal
from isthmus.errors import Poison, Transient
from isthmus.payloads import Payloads

_LIMITS: Final = replace(DEFAULT_LIMITS, max_bytes=2 * DEFAULT_LIMITS.max_bytes)
"""A held change carries its payload itself, which alone may be as large as the largest record."""


class Portions(Protocol):
    """Decides the first held changes of some keys. For one task at a time."""

    def drain(self, keys: Sequence[str], each: int) -> tuple[int, list[str]]:
        """Decide the first changes of these keys, of each at most so many; give how many, and the keys with more.

        What is decided is held no more, in the same commit. It ends at a change that a gate keeps back. Raises
        `Outdated` where the gates say something else meanwhile, and `Transient`, `TargetDown` and `Fatal` as a store
        does; then it may be called again.
        """
        ...

    def close(self) -> None:
        """Give connections back. Safe to repeat."""
        ...


class Unheld:
    """Makes held changes anew."""

    def __init__(self, payloads: Payloads | None, watch: Attempts) -> None:
        self._payloads = payloads
        self._watch = watch

    def made(self, held: Held) -> Delivered:
        """Give a held change as it was delivered. Raises `Transient` where its payload cannot be fetched now."""
        place = (held.shard, held.sequence, held.arrived_ms)
        change = _change_in(held)
        if not (held.decodable and change.dataref and change.data is None):
            return Delivered(change, *place, held.event)
        try:
            if self._payloads is None:
                raise Poison("payload-missing", "The settings name no bucket of payloads.")  # noqa: TRY301 - as below
            data = json_value(self._fetched(self._payloads, change.dataref), _LIMITS)
        except Poison as poison:
            return Delivered(change, *place, held.event, Refusal(poison, "decode"))
        except NotJson as error:
            return Delivered(change, *place, held.event, Refusal(Poison(error.reason, error.message), "decode"))
        return Delivered(change._replace(data=data, dataref=""), *place)

    def _fetched(self, payloads: Payloads, reference: str) -> bytes:
        try:
            content = payloads.get(reference)
        except Transient as error:
            self._watch.failed(error)
            raise
        self._watch.recovered()
        return content


def _change_in(held: Held) -> Change:
    found = next(iter(decode(held.event, _LIMITS)), None)
    if held.decodable and isinstance(found, Change):
        return found
    why = found if isinstance(found, Undecodable) else Undecodable("bad-key", "", held.event)
    return named(held, Verb.UNTRANSLATED)._replace(data={"reason": why.reason, "message": why.message})


def named(held: Held, verb: Verb) -> Change:
    """Give a change with the names of what is held, and nothing of its content."""
    return Change(
        id=held.txn,
        source=held.source,
        entity=held.entity,
        verb=verb,
        key=held.key,
        version=held.version,
        lane=-1,
        epoch=held.epoch,
        time=held.detected,
        rowhash=held.rowhash,
    )
