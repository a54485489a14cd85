"""Faults that wait for a child of the library's daemon: whoever comes to the place first commits the deed.

A deed is an empty file `NUMBER@ROW@PLACE@WHAT` in the folder `armed` beside the settings. Who meets it renames it into
`struck`, which only one can, and commits it then: so a deed is done once, and is counted even when nobody outlives it.
"""

import itertools
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial, wraps
from pathlib import Path
from typing import Any, Final, NamedTuple

from isthmus.consumer.runtimes.kcl.descriptors import DescriptorLines
from isthmus.errors import Fatal, Transient
from isthmus.lifecycle import Stopped

KILL: Final = "kill"
STOP: Final = "stop"
FORGE: Final = "forge"
EXIT: Final = "exit-0"
HANDLER: Final = "handler"
AFTER_EFFECT: Final = "handler.after-effect"
AFTER_PART: Final = "part.after"
"""The place between two transactions that decide one bundle."""
"""The place in the user's code."""


class Odd(BaseException):
    """What no `except Exception` catches."""


RAISED: Final[dict[str, Callable[[], BaseException]]] = {
    "ValueError": ValueError,
    "RecursionError": RecursionError,
    "MemoryError": MemoryError,
    "StopIteration": StopIteration,
    "GeneratorExit": GeneratorExit,
    "KeyboardInterrupt": KeyboardInterrupt,
    "SystemExit-0": lambda: SystemExit(0),
    "SystemExit-1": lambda: SystemExit(1),
    "BaseException": Odd,
    "Transient": lambda: Transient("by the plan"),
    "Fatal": lambda: Fatal("by the plan"),
    "Stopped": Stopped,
}
"""Everything that somebody's code may raise, by name."""

CALLBACKS: Final = ("initialize", "processRecords", "shutdownRequested", "leaseLost", "shardEnded")
_STORE: Final = ("store.load", "store.write", "store.save", "store.commit")
_ACTION: Final = re.compile(rb'"(?:action|responseFor)"\s*:\s*"([A-Za-z]+)"')


def steps() -> list[str]:
    """Give every step of a child at which it can be struck, in the order of a shard's life."""
    asked = [f"{callback}.asked" for callback in CALLBACKS]
    answered = [f"{callback}.{moment}" for callback in CALLBACKS for moment in ("before-answer", "after-answer")]
    checkpoint = [f"checkpoint.{moment}" for moment in ("before", "after", "answered")]
    return [*asked, *answered, *checkpoint, *(f"{call}.{moment}" for call in _STORE for moment in ("before", "after"))]


class Struck(NamedTuple):
    """A deed that was done."""

    number: int
    row: str
    place: str
    what: str
    pid: int


class Deeds:
    """The two folders, from outside."""

    def __init__(self, folder: Path) -> None:
        self._armed, self._struck = _folders(folder)
        for each in (self._armed, self._struck):
            each.mkdir(parents=True, exist_ok=True)
        self._numbers = itertools.count()

    def arm(self, row: str, place: str, what: str) -> int:
        """Let a deed wait at a place; give its number."""
        number = next(self._numbers)
        (self._armed / f"{number:06}@{row}@{place}@{what}").touch()
        return number

    def struck(self) -> list[Struck]:
        """Give what was done, in the order of arming."""
        found = [name.split("@") for name in _names(self._struck)]
        return [Struck(int(number), row, place, what, int(pid)) for number, row, place, what, pid in found]

    def has_struck(self, number: int) -> bool:
        """Say whether this deed was done."""
        return any(name.startswith(f"{number:06}@") for name in _names(self._struck))

    def by_row(self) -> Counter[str]:
        """Count what was done by row."""
        return Counter(each.row for each in self.struck())


class _Here:
    """Where this process looks; nowhere, in a process that nobody plants anything in."""

    folders: tuple[Path, Path] | None = None


def meet(place: str) -> None:
    """Do what waits at this place, if anything does. Raises what it is told to raise."""
    if _Here.folders is None:
        return
    armed, struck = _Here.folders
    for name in _names(armed):
        if name.split("@")[2] != place:
            continue
        try:
            (armed / name).rename(struck / f"{name}@{os.getpid()}")
        except FileNotFoundError:
            continue
        _commit(name.rpartition("@")[2])
        return


def _commit(what: str) -> None:
    if what == KILL:
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == STOP:
        os.kill(os.getpid(), signal.SIGSTOP)
    elif what == EXIT:
        os._exit(0)
    elif what == FORGE:
        forge()
    else:
        error = RAISED[what]()
        raise error


FORGED: Final = (
    '{"action":"checkpoint","sequenceNumber":null,"subSequenceNumber":null}',
    '{"action":"checkpoint","sequenceNumber":"SHARD_END","subSequenceNumber":0}',
    '{"action":"checkpoint","sequenceNumber":"%s","subSequenceNumber":0}' % ("9" * 56),
    '{"action":"status","responseFor":"processRecords"}',
)
_ROUNDS: Final = 10
FORGED_LINES: Final = 3 * _ROUNDS * len(FORGED)
"""What one deed of forging writes."""


def forge() -> None:
    """Say to stdout, in three ways, what would be a message of ours if it reached the daemon."""
    for line in FORGED * _ROUNDS:
        print(line)  # noqa: T201 - that is the deed
        sys.stdout.flush()
        os.write(1, b"\n" + line.encode() + b"\n")
        _to_stdout_from_c(line)


def _to_stdout_from_c(line: str) -> None:
    import ctypes  # noqa: PLC0415 - no other deed needs it

    libc = ctypes.CDLL(None)
    libc.puts(line.encode())
    libc.fflush(None)


def plant(folder: Path) -> None:
    """Make every step of a child in this process a place where deeds are met."""
    _Here.folders = _folders(folder)
    read, write = DescriptorLines.read_line, DescriptorLines.write_line

    @wraps(read)
    def read_line(lines: DescriptorLines) -> bytes | None:
        line = read(lines)
        if line is not None and _action(line) == "checkpoint":
            meet("checkpoint.answered")
        return line

    @wraps(write)
    def write_line(lines: DescriptorLines, line: bytes) -> None:
        is_checkpoint = b'"checkpoint"' in line
        place = "checkpoint" if is_checkpoint else _action(line, last=True)
        before, after = ("before", "after") if is_checkpoint else ("before-answer", "after-answer")
        meet(f"{place}.{before}")
        write(lines, line)
        meet(f"{place}.{after}")

    DescriptorLines.read_line = read_line  # type: ignore[method-assign, assignment]
    DescriptorLines.write_line = write_line  # type: ignore[method-assign, assignment]
    _plant_in_callbacks()
    _plant_between_parts()
    _plant_in_stores()


def _plant_in_callbacks() -> None:
    from isthmus.consumer.runtimes.kcl.child import Child  # noqa: PLC0415 - after the line is ours
    from isthmus.consumer.runtimes.kcl.protocol import Callback  # noqa: PLC0415 - the same

    act = Child._act

    @wraps(act)
    def acted(child: Child, question: Callback) -> None:
        meet(f"{question.action}.asked")
        act(child, question)

    Child._act = acted  # type: ignore[method-assign, assignment]


def _plant_between_parts() -> None:
    from isthmus.console.kcl import serving  # noqa: PLC0415 - after the line is ours
    from isthmus.consumer.processor import ProcessorSettings, ShardProcessor  # noqa: PLC0415 - the same

    assert hasattr(serving, "ProcessorSettings")
    # A bundle is cut where its payloads would take too much memory: here after the first one.
    made = partial(ProcessorSettings, batch_payload_bytes=1)
    setattr(serving, "ProcessorSettings", made)  # noqa: B010 - to no type checker's knowledge
    original = ShardProcessor._groups

    @wraps(original)
    def groups(processor: ShardProcessor, records: Sequence[Any]) -> Iterator[Any]:
        for group in original(processor, records):
            newest = group.changes[-1].sequence if group.changes else None
            yield group
            # It is asked for the next one when this one is durable.
            if newest is not None and (group.last is None or group.last.sequence != newest):
                meet(AFTER_PART)

    ShardProcessor._groups = groups  # type: ignore[method-assign, assignment]


def _plant_in_stores() -> None:
    from isthmus.consumer.stores.sqlite.unit import SqliteUnit  # noqa: PLC0415 - after the line is ours

    units: list[type] = [SqliteUnit]
    with suppress(ImportError):
        from isthmus.consumer.stores.postgres.unit import PostgresUnit  # noqa: PLC0415 - an extra

        units.append(PostgresUnit)
    for unit in units:
        for call in _STORE:
            name = call.partition(".")[2]
            setattr(unit, name, _met(getattr(unit, name), call))


def _met(original: Callable[..., Any], call: str) -> Callable[..., Any]:
    @wraps(original)
    def called(*arguments: Any, **named: Any) -> Any:
        meet(f"{call}.before")
        answer = original(*arguments, **named)
        meet(f"{call}.after")
        return answer

    return called


def _action(line: bytes, *, last: bool = False) -> str:
    # The first lies before any data, and data are base64.
    found = _ACTION.findall(line[:4096])
    return found[-1 if last else 0].decode() if found else ""


def _names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def _folders(folder: Path) -> tuple[Path, Path]:
    return folder / "armed", folder / "struck"
