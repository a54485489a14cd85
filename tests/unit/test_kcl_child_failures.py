"""A child of the Kinesis Client Library's daemon that fails: what it leaves unanswered, and what it tells."""

from collections.abc import Callable

import pytest

from isthmus.consumer.feed import Record
from isthmus.consumer.runtimes.kcl import ending
from isthmus.consumer.runtimes.kcl.ending import FAILED, serve
from isthmus.errors import Fatal, OwnershipLost
from isthmus.lifecycle import Stopped
from tests.fakes.kcl_daemon import FakeDaemon, records_of
from tests.fakes.kcl_desk import BATCH, BEGIN, ChildDesk


@pytest.mark.parametrize("error", ["InvalidStateException", "IllegalArgumentException", "NullPointerException"])
def test_any_other_refusal_of_a_checkpoint_ends_the_process_unanswered(error: str) -> None:
    desk = ChildDesk(records_of(1))
    desk.shard.errors = [error]

    with pytest.raises(Fatal, match=error):
        desk.run(BEGIN, BATCH)
    assert desk.daemon.answered == ["initialize"]


def test_a_batch_that_comes_back_undecided_is_not_answered() -> None:
    desk = ChildDesk(records_of(1, 1))
    desk.decider.process = lambda records: None  # type: ignore[method-assign]  # noqa: ARG005 - a broken one

    with pytest.raises(Fatal):
        desk.run(BEGIN, BATCH)
    assert desk.daemon.awaiting == "processRecords"


@pytest.mark.parametrize("error", [Stopped(), OwnershipLost("")])
def test_a_handler_that_raises_our_own_words_is_not_answered(error: Exception) -> None:
    desk = ChildDesk(records_of(1))

    def before(_record: Record) -> None:
        raise error

    desk.decider.before = before
    with pytest.raises((Fatal, OwnershipLost)):
        desk.run(BEGIN, BATCH)
    assert desk.daemon.awaiting == "processRecords"


@pytest.mark.parametrize("stray", [b'{"action":"checkpoint"}', b'{"action":"leaseLost"}'])
def test_a_line_out_of_step_ends_the_process(stray: bytes) -> None:
    desk = ChildDesk(records_of(1))
    if b"leaseLost" in stray:
        desk.daemon._checkpoint = lambda message: stray  # type: ignore[method-assign]  # noqa: ARG005 - no answer
        script = [BEGIN, BATCH]
    else:
        script = [BEGIN, lambda _daemon: stray]
    with pytest.raises(Fatal):
        desk.run(*script)
    assert desk.daemon.answered == ["initialize"]


def test_a_daemon_that_dies_instead_of_answering_a_checkpoint_is_not_answered() -> None:
    desk = ChildDesk(records_of(1))
    desk.daemon.hear = _dying(desk.daemon)  # type: ignore[assignment, method-assign]  # from its checkpoint on

    with pytest.raises(Fatal, match="closed"):
        desk.run(BEGIN, BATCH)


def _dying(daemon: FakeDaemon) -> Callable[[bytes], bytes | None]:
    hear = daemon.hear

    def heard(line: bytes) -> bytes | None:
        if b"checkpoint" in line:
            daemon.awaiting, daemon.failed = None, True
            return None
        return hear(line)

    return heard


def test_what_is_told_of_an_error_holds_no_message_of_user_code(capsys: pytest.CaptureFixture[str]) -> None:
    desk = ChildDesk(records_of(1))

    def before(_record: Record) -> None:
        raise ValueError("Erika Mustermann")

    desk.decider.before = before
    desk.lines.script.extend([BEGIN, BATCH])
    assert serve(desk.child) == FAILED
    told = "".join(capsys.readouterr())

    assert "shard_failed" in told
    assert "ValueError" in told
    assert "Erika" not in told


def test_a_failure_that_cannot_be_told_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = ChildDesk(records_of(1))
    desk.make_failing = [ValueError()]
    desk.lines.script.extend([BEGIN])

    def gone(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(ending, "_tell", gone)
    assert serve(desk.child) == FAILED
