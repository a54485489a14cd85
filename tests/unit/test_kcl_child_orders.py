"""Every order of questions, every record at which a child may stop or die, every kind of error: nothing is skipped."""

import itertools
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.consumer.feed import Record
from isthmus.consumer.runtimes.kcl.ending import DONE, FAILED, serve
from isthmus.consumer.runtimes.kcl.settings import ChildSettings
from isthmus.consumer.runtimes.kcl.states import ChildState
from isthmus.errors import Fatal, OwnershipLost, Poison, TargetDown
from isthmus.lifecycle import Stopped
from tests.fakes.kcl_daemon import SHARD_END, FakeShard, records_of
from tests.fakes.kcl_desk import BATCH, BEGIN, ENDED, LOST, SHUTDOWN, Ask, ChildDesk, batch, empty, quiet

LONGEST = 6
RECORDS = records_of(1, 2, 1, 1, 1, 1, 2, 1, 1, 1, 1)
ALPHABET: dict[str, Ask] = {
    "begin": BEGIN,
    "batch": batch(2),
    "empty": empty,
    "shutdown": SHUTDOWN,
    "lost": LOST,
    "ended": ENDED,
}


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    with quiet():
        yield


class Crash(BaseException):
    """The process dies here."""


def serve_in(desk: ChildDesk, order: Sequence[str]) -> bool:
    """Serve questions in an order; say whether all were answered."""
    try:
        desk.run(*(ALPHABET[name] for name in order))
    except Fatal:
        return False
    return True


def orders(desk: ChildDesk, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Give every order up to the longest, each after a new beginning; none beyond a question that was refused."""
    for name in ALPHABET:
        order = (*prefix, name)
        desk.shard = FakeShard(RECORDS)
        desk.shard.on_checkpoint = desk._all_before_is_decided
        desk.decided = []
        desk.new_life()
        answered = serve_in(desk, order)
        yield order, answered
        if answered and len(order) < LONGEST:
            yield from orders(desk, order)


def before_of(order: Sequence[str], *ends: str) -> list[str]:
    """Give what comes before the first of some questions."""
    return list(itertools.takewhile(lambda name: name not in ends, order))


@pytest.mark.parametrize("interval", [0, 1000])
def test_every_order_of_questions_is_answered_truly_or_not_at_all(interval: float) -> None:
    desk = ChildDesk(settings=ChildSettings(checkpoint_interval=interval))
    seen = 0
    for order, answered in orders(desk):
        seen += 1
        # What the model says: only batches between the beginning and the first other word of the daemon are decided.
        reading = before_of(order, "shutdown", "lost", "ended") if order[0] == "begin" else []
        served = len(desk.daemon.answered)
        delivered = min(len(RECORDS), 2 * reading[:served].count("batch"))
        assert desk.names == [record.data.decode() for record in RECORDS[:delivered]], order

        refused = order[-1] == "begin" and len(order) > 1
        refused |= order[0] not in {"begin", "shutdown", "lost"}
        refused |= order[-1] in {"batch", "empty"} and "ended" in order
        refused |= order[-1] == "ended" and not may_end(order[:-1])
        assert answered is not refused, order

        if "lost" in order:
            assert all(desk.shard.obeyed.count(place) == 1 for place in desk.shard.obeyed)
        assert (SHARD_END in desk.shard.obeyed) is any(ends(order[:served])), order
        if not desk.shard.ended:
            desk.finish()
            assert desk.names == desk.all_names(), order
    assert seen > 3_000


def may_end(before: Sequence[str]) -> bool:
    """Say whether the end of the shard may be answered after these questions."""
    if "ended" in before:
        return True
    if before[:1] != ("begin",) or "lost" in before:
        return False
    after_shutdown = before[before.index("shutdown") :] if "shutdown" in before else ()
    return "batch" not in after_shutdown


def ends(order: Sequence[str]) -> Iterator[bool]:
    for place, name in enumerate(order):
        yield name == "ended" and may_end(order[:place])


def test_a_stop_before_any_record_of_any_order_skips_nothing() -> None:
    for order in itertools.product(("batch", "empty", "shutdown", "ended"), repeat=4):
        for stop_at in range(9):
            desk = ChildDesk(RECORDS[:8], settings=ChildSettings(checkpoint_interval=0))

            def before(_record: Record, desk: ChildDesk = desk, stop_at: int = stop_at) -> None:
                if len(desk.decided) == stop_at:
                    desk.stop.request()

            desk.decider.before = before
            serve_in(desk, ("begin", *order))
            # The desk itself looks, at every checkpoint and at the end, that nothing before it is undecided.
            if not desk.shard.ended:
                desk.finish()
                assert desk.names == desk.all_names()[:8], (order, stop_at)


ERRORS: list[BaseException] = [
    ValueError("a row"),
    KeyError("a row"),
    StopIteration(),
    MemoryError(),
    RecursionError(),
    AssertionError(),
    OSError(5, "a row"),
    EOFError(),
    GeneratorExit(),
    KeyboardInterrupt(),
    SystemExit(),
    SystemExit(0),
    SystemExit("a row"),
    Crash(),
    ExceptionGroup("several", [ValueError()]),
    Stopped(),
    Fatal("a row"),
    OwnershipLost("a row"),
    Poison("bad"),
    TargetDown("away"),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("where", ["first", "middle", "last", "place", "place at shutdown", "place at an empty batch"])
def test_an_error_in_any_callback_is_never_answered_and_skips_nothing(where: str, error: BaseException) -> None:
    desk = ChildDesk(RECORDS)
    at = {"first": 0, "middle": 3, "last": 4}.get(where)

    def before(_record: Record) -> None:
        if len(desk.decided) == at:
            raise error

    def place() -> None:
        raise error

    def last() -> None:
        if where.endswith(("shutdown", "empty batch")) and len(desk.lines.script) == 1:
            desk.decider.place = place  # type: ignore[method-assign]  # the last question meets it

    desk.decider.before = before
    desk.lines.before = last
    if where == "place":
        desk.decider.place = place  # type: ignore[method-assign]  # every use meets it
    script = [BEGIN, batch(2), batch(3), SHUTDOWN if where.endswith("shutdown") else empty]
    desk.lines.script.extend(script)

    assert serve(desk.child) == FAILED
    assert desk.daemon.awaiting is not None
    assert len(desk.daemon.answered) < len(script)
    desk.finish()
    assert desk.names == desk.all_names()


@pytest.mark.parametrize("error", [e for e in ERRORS if not isinstance(e, TargetDown)], ids=repr)
def test_an_error_while_a_shard_begins_is_never_answered(error: BaseException) -> None:
    desk = ChildDesk(RECORDS)
    desk.make_failing = [error]
    desk.lines.script.extend([BEGIN, BATCH])

    assert serve(desk.child) == FAILED
    assert desk.daemon.answered == []
    desk.finish()
    assert desk.names == desk.all_names()


def test_a_child_whose_line_is_closed_has_done_its_duty() -> None:
    desk = ChildDesk(RECORDS)
    desk.lines.script.extend([BEGIN, BATCH, LOST])
    assert serve(desk.child) == DONE


@given(data=st.data(), sizes=st.lists(st.integers(1, 4), min_size=1, max_size=8), step=st.sampled_from([1, 93]))
@settings(deadline=None, max_examples=300)
def test_lives_that_stop_or_die_anywhere_decide_all_in_order(data: st.DataObject, sizes: list[int], step: int) -> None:
    desk = ChildDesk(records_of(*sizes, first=9, step=step), settings=ChildSettings(checkpoint_interval=3))
    desk.lines.before = lambda: desk.clock.move(1)
    for _ in range(data.draw(st.integers(0, 5))):
        if desk.shard.ended:
            break
        desk.new_life()
        ends_at = data.draw(st.integers(0, 12))
        dies = data.draw(st.booleans())
        begun = len(desk.decided)
        desk.lines.before = lambda: desk.clock.move(1)

        def before(_record: Record, begun: int = begun, ends_at: int = ends_at, dies: bool = dies) -> None:  # noqa: FBT001 - bound to this life
            if len(desk.decided) - begun == ends_at:
                if dies:
                    raise Crash
                desk.stop.request()

        desk.decider.before = before
        errors = data.draw(st.lists(st.sampled_from(["ThrottlingException", "KinesisClientLibDependencyException"])))
        desk.shard.errors = errors[:2]
        counts = data.draw(st.lists(st.integers(0, 5), max_size=6))
        last = data.draw(st.sampled_from([[], [SHUTDOWN], [LOST], [SHUTDOWN, LOST]]))
        desk.lines.script.extend([BEGIN, *map(batch, counts), *last])
        if serve(desk.child) == DONE and desk.child.state is ChildState.STOPPING and not errors:
            # A stop that was soft left nothing to be decided twice.
            decided = [record.place for record in desk.decided[begun:]]
            assert not decided or desk.shard.checkpoint == decided[-1]
    desk.shard.errors = []
    desk.finish()

    assert desk.names == desk.all_names()
