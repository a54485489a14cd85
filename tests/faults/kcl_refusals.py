"""F36: what would make an application read again, or leave out, what nobody meant: each is refused at the start."""

import random
import re
from collections.abc import Callable
from contextlib import closing
from typing import Final, NamedTuple

from isthmus.console.commands.setup import prepare
from isthmus.settings import load
from tests.faults.kcl_offices import SqliteOffice
from tests.faults.kcl_oracle import SHARD_END
from tests.faults.kcl_rows import Way
from tests.faults.kcl_strikes import must, reading, workers_up
from tests.faults.kcl_workers import Worker
from tests.faults.kcl_world import History
from tests.faults.row import Result


class Refused(NamedTuple):
    """One thing that must be refused."""

    name: str
    start: Callable[[History], Worker]
    says: str


def _renamed(history: History) -> Worker:
    return history.worker(config=history.other_settings((f'"{history.table}"', f'"{history.table}-2"')))


def _latest(history: History) -> Worker:
    begin = "failover_time = "
    return _new_application(
        history, "latest", (f'"{history.table}"', f'"{history.table}-new"'), (begin, f'start = "latest"\n{begin}')
    )


def _anothers(history: History) -> Worker:
    return _new_application(history, "another")


def _deleted(history: History) -> Worker:
    _take_a_lease_away(history)
    return history.worker()


REFUSED: Final = (
    Refused("the application renamed", _renamed, "under another name it would read the whole stream again"),
    Refused("LATEST on a new application", _latest, "everything that is in the stream now would never be applied"),
    Refused("another application's lease table", _anothers, "belong to another application"),
    Refused("a lease deleted", _deleted, "somebody deleted it"),
)


def _refusals(history: History, _chance: random.Random, result: Result) -> None:
    must(lambda: reading(history), history, "a worker reads")
    must(lambda: _all_have_begun(history), history, "every lease has a checkpoint")
    for worker in history.workers:
        worker.end()
    for case in REFUSED:
        _must_refuse(history, case, result)
        result.counts["refusals"] += 1
        result.struck(case.name)
    # Agreed to, the shard is read again from its oldest record, and nothing has a second effect.
    again = history.worker("--yes")
    must(lambda: again.events("lease_made_again"), history, "the lease is made again")
    workers_up(history)


def _must_refuse(history: History, case: Refused, result: Result) -> None:
    before = _places(history)
    worker = case.start(history)
    must(lambda: worker.code() is not None or worker.events("kcl_started"), history, f"{case.name}: it ends")
    if not worker.code() or worker.events("kcl_started") or case.says not in worker.text:
        result.violated(f"{case.name} was not refused: exit code {worker.code()}\n{worker.text[-2000:]}")
    added = {shard: place for shard, place in _places(history).items() if place != before.get(shard)}
    if added:
        result.violated(f"{case.name} has changed leases before it was refused: {added}")


def _new_application(history: History, name: str, *changes: tuple[str, str]) -> Worker:
    """Set a new application up, with a front office of its own, on the same stream; start it."""
    file = SqliteOffice(history.place / f"{name}.db")
    text = history.config.read_text(encoding="utf-8")
    url = next(line for line in text.splitlines() if line.startswith('url = "') and "back" not in line)
    # What is said of the other store would be refused for that alone.
    of_the_store = [(part, "") for part in re.findall(r"^\[store\.[^\[]+", text, re.MULTILINE)]
    config = history.other_settings(
        (f'application = "{history.name}"', f'application = "{history.name}-{name}"'),
        (url, f'url = "{file.url}"'),
        *of_the_store,
        *changes,
    )
    prepare(load(config))
    with closing(file.made()):
        return history.worker(config=config)


def _take_a_lease_away(history: History) -> None:
    leases = history.owners()
    shard = next(name for name, lease in sorted(leases.items()) if lease.checkpoint != SHARD_END)
    # Its parents' leases too: from their ends the library would make it again by itself.
    for name in (shard, *leases[shard].parents):
        if name in leases:
            history.forget_checkpoint(name)


def _places(history: History) -> dict[str, str]:
    return {shard: lease.checkpoint for shard, lease in history.owners().items()}


def _all_have_begun(history: History) -> bool:
    return all(lease.checkpoint != "TRIM_HORIZON" for lease in history.owners().values())


def _faults(_goal: int, _full: bool) -> list[str]:  # noqa: FBT001 - a row's form
    return [case.name for case in REFUSED]


REFUSALS: Final = Way("refusals", _refusals, _faults, 4, {})
