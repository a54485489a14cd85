"""A row of the matrix about memory: records as large as a stream allows, in processes that shall fit into 512 MiB."""

import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from isthmus.change import Change
from isthmus.codec import DEFAULT_LIMITS, bundle, encode
from tests.fakes.large_stream import LargeStream
from tests.fakes.store_world import event, untranslated, upsert
from tests.faults.offices import postgres_office, sqlite_office
from tests.faults.row import Context, Result

MOST_MIB: Final = 400
"""Of resident memory, at the peak (the matrix)."""
_LARGEST: Final = DEFAULT_LIMITS.max_bytes
_MARGIN: Final = 1_000
"""Bytes of a record beside its payload, at most."""
_ROOT: Final = Path(__file__).resolve().parents[2]
_PATIENCE_SECONDS: Final = 60
"""A process takes 2 to 10 s on an idle machine."""
_KIB: Final = 1024


def _text(length: int = _LARGEST - _MARGIN) -> str:
    # Not all the same: it shall be as hard to keep as what anybody sends.
    return random.Random(length).randbytes(length // 2).hex()


def _list_of(element: str, most: int = _LARGEST) -> bytes:
    """Give a record with one change, whose data hold a list of this element, as long as there is room."""
    times = min(most, (_LARGEST - _MARGIN) // (len(element) + 1))
    elements = ",".join([element] * times)
    return bundle([encode(upsert(1, "list"), data=f'{{"size":1,"note":"fine","list":[{elements}]}}'.encode())])


def _of(change: Change) -> bytes:
    return bundle([encode(change)])


def _many() -> bytes:
    room = _LARGEST // DEFAULT_LIMITS.max_events
    bare = len(encode(upsert(1, "many-1000", note=""))) + 3
    note = _text(room - bare)
    return bundle([encode(upsert(1, f"many-{number}", note=note)) for number in range(DEFAULT_LIMITS.max_events)])


RECORDS: Final[Mapping[str, Callable[[], bytes]]] = {
    "one state": lambda: _of(upsert(1, "state", note=_text())),
    "one event with a handler": lambda: _of(event(1, "event", note=_text())),
    "a bundle of five": lambda: bundle(
        [encode(upsert(1, f"five-{number}", note=_text(_LARGEST // 5 - _MARGIN))) for number in range(5)]
    ),
    "a bundle of ten thousand": _many,
    "a state that the table refuses": lambda: _of(upsert(1, "refused", size=-1, note=_text())),
    "a row that could not be translated": lambda: _of(
        untranslated(1, "raw")._replace(data={"reason": "no-airport", "message": "", "row": {"a": _text()}})
    ),
    "no JSON at all": lambda: _text(_LARGEST).encode(),
    "one byte too many": lambda: _text(_LARGEST + 2).encode()[:-1],
    "a list of decimals": lambda: _list_of("1.10"),
    "a list of fractions": lambda: _list_of("0.5"),
    "a list of numbers": lambda: _list_of("777"),
    "a list of texts": lambda: _list_of('"ab"'),
    "a list of objects": lambda: _list_of('{"a":1}', DEFAULT_LIMITS.max_containers - 10),
}
"""What a record of the largest size can hold: by what becomes of it, and by how it lies in memory."""
_SHORT: Final = ("one state", "a state that the table refuses", "a list of decimals")
_ALL: Final = "all of them, one after another"


def large_records(store: str) -> Callable[[Context], Result]:
    """Give a row's function: each kind of record in a process of its own, and all of them in another one."""
    return partial(_large_records, store)


def _large_records(store: str, context: Context) -> Result:
    """F61: the peak of each process stays below the limit, whatever the records hold."""
    made = {name: make() for name, make in RECORDS.items() if context.full or name in _SHORT}
    result = Result.expecting(made)
    peaks: dict[str, int] = {}
    with _place(store) as fresh:
        for run, names in {**({name: [name] for name in made} if context.full else {}), _ALL: list(made)}.items():
            peaks[run] = _peak(store, fresh(), [made[name] for name in names], result)
            if not peaks[run]:
                # What does not end for one kind of record does not for the next: that would take an hour.
                break
            for name in names:
                result.struck(name)
            result.counts["records"] += len(names)
            context.tell(result.counts["records"], context.goal)
    for run, peak in peaks.items():
        if peak > MOST_MIB:
            result.violated(f"{run}: {peak} MiB of memory, {MOST_MIB} allowed")
        result.counts[f"MiB: {run}"] = peak
    result.counts["peak, MiB"] = max(peaks.values())
    return result


@contextmanager
def _place(store: str) -> Iterator[Callable[[], str]]:
    """Give what gives the address of an empty front office."""
    if store == "SQLite":
        with sqlite_office() as file:
            yield lambda: str(file.fresh().path)
    else:
        with postgres_office() as office:
            yield lambda: office.fresh().url


def _peak(store: str, place: str, records: list[bytes], result: Result) -> int:
    """Let a process decide these records; give how much memory it had at most, in MiB."""
    with closing(LargeStream(records)) as stream:
        command = [sys.executable, "-m", "tests.faults.memory_child", store, place, stream.url, str(stream.last)]
        try:
            done = subprocess.run(
                command, cwd=_ROOT, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            result.violated(f"{store}: {len(records)} records were not decided within {_PATIENCE_SECONDS} s")
            return 0
    if done.returncode != 0:
        result.violated(f"{store}: it ended with {done.returncode}: {done.stderr[-1500:]}")
        return 0
    return round(int(done.stdout) / _KIB)
