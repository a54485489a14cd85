"""F21 without a daemon: whatever is raised, wherever, no record is skipped and no checkpoint passes one."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from isthmus.consumer.runtimes.kcl.protocol import Callback
from tests.fakes.kcl_daemon import records_of
from tests.fakes.kcl_desk import BATCH, BEGIN, ENDED, LOST, SHUTDOWN, Ask, ChildDesk, batch, quiet
from tests.faults.kcl_deeds import CALLBACKS, RAISED
from tests.faults.row import Context, Result

_RECORDS: Final = 6
_ENDS: Final[dict[str, tuple[Ask, ...]]] = {
    "initialize": (BEGIN, BATCH, ENDED),
    "processRecords": (BEGIN, batch(2), batch(2), BATCH, ENDED),
    "shutdownRequested": (BEGIN, batch(3), SHUTDOWN),
    "leaseLost": (BEGIN, batch(3), LOST),
    "shardEnded": (BEGIN, BATCH, ENDED),
}
"""What the daemon asks of a child that is to meet a callback."""


def raised_anywhere(context: Context) -> Result:
    """Raise each kind in each callback, and in deciding each record; let another child do the rest."""
    del context
    result = Result.expecting([f"{kind} in {callback}" for kind in RAISED for callback in (*CALLBACKS, "a handler")])
    with quiet():
        for kind, make in RAISED.items():
            for callback in CALLBACKS:
                _once(f"{kind} in {callback}", _ENDS[callback], _in_callback(callback, make), result)
            for at in range(_RECORDS):
                _once(f"{kind} in a handler", _ENDS["processRecords"], _in_deciding(at, make), result)
    return result


Plant = Callable[[ChildDesk], Callable[[], bool]]
"""Plants it in a desk's child; gives what says whether it was raised."""


def _in_callback(callback: str, make: Callable[[], BaseException]) -> Plant:
    def plant(desk: ChildDesk) -> Callable[[], bool]:
        act, told = desk.child._act, list[str]()

        def acting(question: Callback) -> None:
            if question.action == callback:
                told.append(callback)
                raise make()
            act(question)

        desk.child._act = acting  # type: ignore[method-assign]
        return lambda: bool(told)

    return plant


def _in_deciding(at: int, make: Callable[[], BaseException]) -> Plant:
    def plant(desk: ChildDesk) -> Callable[[], bool]:
        told = list[str]()

        def before(_record: object) -> None:
            if len(desk.decided) == at and not told:
                told.append("handler")
                raise make()

        desk.decider.before = before
        return lambda: bool(told)

    return plant


def _once(name: str, script: tuple[Ask, ...], plant: Plant, result: Result) -> None:
    desk = ChildDesk(records_of(*[1] * _RECORDS))
    was_raised = plant(desk)
    # Whatever leaves it ends its process.
    with suppress(BaseException):
        desk.run(*script)
    desk.finish()
    result.counts["raised"] += 1
    if was_raised():
        result.struck(name)
    if desk.names != desk.all_names():
        result.violated(f"I1: after {name} only {desk.names} are decided")
    if not desk.shard.ended:
        result.violated(f"I1: after {name} the shard does not come to its end")
