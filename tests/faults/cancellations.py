"""A row of the matrix about DynamoDB's transactions: every mix of cancellation reasons."""

import itertools
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from botocore.exceptions import ClientError

from isthmus.change import Change
from isthmus.consumer.stores.dynamodb.cancelled import Refusing, Unmet, verdict
from isthmus.consumer.stores.dynamodb.decider import DynamoDecider
from isthmus.errors import UNKNOWN, Fatal, Transient
from isthmus.lifecycle import ThreadStop
from isthmus.pipeline import Handler
from tests.fakes.clock import FakeClock
from tests.fakes.store_model import ByModel
from tests.fakes.store_world import event, upsert
from tests.faults.front import records_of
from tests.faults.offices import AnyFront, dynamodb_office
from tests.faults.row import Context, Result

MOST_ACTIONS: Final = 5
_UNMET, _INVALID, _NONE = "ConditionalCheckFailed", "ValidationError", "None"
_AGAIN: Final = ("TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "TransactionInProgress")
REASONS: Final = (_NONE, _UNMET, *_AGAIN, _INVALID)
"""Of one action (DynamoDB API Reference, "TransactWriteItems", "Cancellation reasons")."""
_MIXED: Final = "reasons of several kinds in one transaction"
_WRITTEN: Final = "another one had written the same"


class Mix(NamedTuple):
    """Reasons by action, of which the first `ours` are Isthmus's own."""

    codes: tuple[str, ...]
    ours: int

    @property
    def asks_again(self) -> bool:
        """Say whether something else than the change stood in the way, so that nothing is known of the change."""
        return _UNMET in self.codes[: self.ours] or any(code in _AGAIN for code in self.codes)

    @property
    def blames_the_change(self) -> bool:
        """Say whether nothing but the change itself stood in the way."""
        return not self.asks_again and any(code != _NONE for code in self.codes)


def mixes(most: int) -> Iterator[Mix]:
    """Give every combination of reasons for up to so many actions, and every way to share the actions."""
    for size in range(1, most + 1):
        for codes in itertools.product(REASONS, repeat=size):
            for ours in range(size + 1):
                yield Mix(codes, ours)


def every_verdict(context: Context) -> Result:
    """F39: what each mix means: read anew, send again, or the change's own fault, and at which place."""
    result = Result.expecting([*REASONS, _MIXED])
    for mix in mixes(MOST_ACTIONS if context.full else MOST_ACTIONS - 1):
        for code in set(mix.codes):
            result.struck(code)
        result.struck(_MIXED, int(len(set(mix.codes) - {_NONE}) > 1))
        result.counts["combinations"] += 1
        found = verdict([_reason(code) for code in mix.codes], mix.ours)
        if not _fits(found, mix):
            result.violated(f"{mix.codes}, {mix.ours} of them ours: {type(found).__name__} {found}")
    return result


def _fits(found: Unmet | Refusing | Transient, mix: Mix) -> bool:
    if _UNMET in mix.codes[: mix.ours]:
        return isinstance(found, Unmet)
    if mix.asks_again:
        return isinstance(found, Transient) and found.cause != UNKNOWN
    if mix.blames_the_change:
        return isinstance(found, Refusing) and mix.codes[found.place] != _NONE
    return isinstance(found, Transient) and found.cause == UNKNOWN


def _reason(code: str) -> dict[str, str]:
    return (
        {"Code": code, "Message": "One or more parameter values were invalid"} if code == _INVALID else {"Code": code}
    )


class _Cancelling:
    """A client whose first transaction for a transaction ID is cancelled, for the reasons that are planned for it."""

    def __init__(self, client: Any, plans: Mapping[str, tuple[Mix, bool]]) -> None:
        self._client = client
        self._plans = dict(plans)
        self._lock = threading.Lock()
        self.lengths: set[int] = set()

    def transact_write_items(self, **wanted: Any) -> Any:
        actions = wanted["TransactItems"]
        planned = self._plan(actions)
        if planned is None:
            return self._client.transact_write_items(**wanted)
        (codes, _), written = planned
        self.lengths.add(len(actions))
        if written:
            # Another worker with the very same change was faster.
            self._client.transact_write_items(**wanted)
        reasons = [_reason(code) for code in itertools.islice(itertools.cycle(codes), len(actions))]
        answer: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
        raise ClientError(answer, "TransactWriteItems")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def _plan(self, actions: Sequence[Any]) -> tuple[Mix, bool] | None:
        words = repr(actions)
        with self._lock:
            for txn in self._plans:
                if repr(txn) in words:
                    return self._plans.pop(txn)
        return None


class _Kind(NamedTuple):
    """A kind of transaction: its actions are Isthmus's own first, then one of each handler."""

    make: Callable[..., Change]
    size: int
    ours: int
    handlers: int = 1
    bad: bool = False
    """Whether the change is parked whatever the reasons are."""


_TOGETHER: Final = 40
_KINDS: Final = {
    "a state takes effect": _Kind(upsert, 2, 1),
    "an event takes effect": _Kind(event, 4, 3),
    "an event takes effect, with two handlers": _Kind(event, 5, 3, handlers=2),
    "an event is parked": _Kind(event, 5, 5, bad=True),
}
_STOPPED: Final = "our own table refuses a row: the process stops"
_ALSO: Final = "also "


def every_decision(context: Context) -> Result:
    """F39: the real decider meets every mix: nothing lost or twice, and only what is the change's fault is parked."""
    result = Result.expecting([*REASONS, _MIXED, _WRITTEN, *_KINDS, *([_STOPPED] if context.full else [])])
    cases = {name: list(_cases(kind)) for name, kind in _KINDS.items()}
    if not context.full:
        chance = random.Random(context.first)
        cases = {name: chance.sample(found, context.goal // len(_KINDS)) for name, found in cases.items()}
    most = sum(map(len, cases.values()))
    with dynamodb_office() as office:
        front = AnyFront(office, clock=FakeClock(), stop=ThreadStop(), batch_changes=_TOGETHER)
        try:
            for name, found in cases.items():
                # What stops the process stops the batch, so it comes alone.
                fatal = [case for case in found if _KINDS[name].bad and case[0].blames_the_change]
                rest = [case for case in found if case not in fatal]
                for begin in range(0, len(rest), _TOGETHER):
                    _decide(front, name, rest[begin : begin + _TOGETHER], result)
                    context.tell(result.counts["transactions"], most)
                for case in fatal:
                    _decide(front, name, [case], result)
        finally:
            front.end()
    return result


def _cases(kind: _Kind) -> Iterator[tuple[Mix, bool]]:
    for codes in itertools.product(REASONS, repeat=kind.size):
        mix = Mix(codes, kind.ours)
        yield mix, False
        # That another one wrote it fits only to reasons that leave it open.
        if mix.asks_again:
            yield mix, True


def _decide(front: AnyFront, name: str, cases: Sequence[tuple[Mix, bool]], result: Result) -> None:
    kind = _KINDS[name]
    note = "wrong" if kind.bad else "fine"
    changes = [kind.make(1, f"k{number}", note=note) for number in range(len(cases))]
    front.reset()
    cancelling = _cancelling(front, kind, dict(zip((change.id for change in changes), cases, strict=True)))
    records = records_of([changes])
    try:
        front.process(records)
    except Fatal:
        if not kind.bad:
            raise
        result.struck(_STOPPED)
        front.life().process(records)
    if cancelling.lengths != {kind.size}:
        result.violated(f"{name}: a transaction has {cancelling.lengths} actions, and not {kind.size}")
    model = ByModel()
    for change, (mix, written) in zip(changes, cases, strict=True):
        result.counts["transactions"] += 1
        result.struck(name)
        result.struck(_WRITTEN, int(written))
        result.struck(_MIXED, int(len(set(mix.codes) - {_NONE}) > 1))
        for code in set(mix.codes):
            result.struck(code)
        # The model parks what is poison; what a mix blames is so by the mix.
        model.take(change._replace(data={"size": -1, "note": ""}) if mix.blames_the_change else change)
    if kind.handlers > 1:
        model.effects.update({f"{_ALSO}{txn}": times for txn, times in model.effects.items()})
    for sentence in front.wrong(model):
        named = [
            f"{change.id}: {case}" for change, case in zip(changes, cases, strict=True) if repr(change.id) in sentence
        ]
        result.violated(f"{name}: {sentence} {named[:2]}")


def _cancelling(front: AnyFront, kind: _Kind, plans: Mapping[str, tuple[Mix, bool]]) -> _Cancelling:
    """Begin a life whose transactions are cancelled once, as planned by transaction ID."""
    if kind.handlers > 1:
        office = front.office
        entities = front.world.entities
        also: Handler = lambda tx, change, _previous: office.effect(tx, f"{_ALSO}{change.id}")  # noqa: E731 - one line
        entities[:] = [replace(entity, handlers=(*entity.handlers, also)) for entity in entities]
        front.life()
    assert isinstance(front.decider, DynamoDecider)
    requests = front.decider._requests
    requests._client = cancelling = _Cancelling(requests._client, plans)
    return cancelling
