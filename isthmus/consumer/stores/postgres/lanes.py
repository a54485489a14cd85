"""Which lanes a transaction locks, and in which order: always the same one, so that nobody waits in a ring."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from isthmus.change import lane_of
from isthmus.consumer.stores.lot import Waiting
from isthmus.consumer.stores.postgres.connection import Connection
from isthmus.consumer.stores.postgres.errors import translated
from isthmus.consumer.stores.postgres.names import number_array, text_array
from isthmus.consumer.stores.postgres.pipelines import pipelined
from isthmus.consumer.stores.postgres.statements import Statements
from isthmus.errors import Transient

BEGIN = "BEGIN"


class Locks:
    """Which locks a batch needs: those of its keys' lanes.

    Computed from the keys, and not taken from the changes: a foreign producer may have put a key into any lane. Shards
    have no lane in common, so nobody waits but a worker that woke up late, and whoever redrives.
    """

    def __init__(self, space: int, lanes: int) -> None:
        self.space = space
        self._lanes = lanes

    def turn(self, *, alone: bool) -> str:
        """Give the statement by which a transaction with effects takes its turn: beside others, or alone.

        Which rows handlers lock, and in which order, nobody can know. Whoever met a deadlock runs its effects alone.
        """
        return f"SELECT pg_advisory_xact_lock{'' if alone else '_shared'}({self.space}, -2)"

    def lanes(self, keys: Iterable[str]) -> set[int]:
        """Give the lanes of the keys."""
        lanes = self._lanes
        return {lane_of(key, lanes) for key in keys}

    def of(self, keys: Iterable[str]) -> str:
        """Give the lanes of the keys, in order, as an array."""
        return number_array(sorted(self.lanes(keys)))


class _Look(NamedTuple):
    """What was asked of the parking lot, and what was found."""

    keys: Sequence[str]
    each: int
    only: Collection[str]
    found: list[Waiting]


class Looks:
    """One transaction's looks at what waits, which lock the lanes of its keys."""

    def __init__(self, connection: Connection, texts: Statements, locks: Locks) -> None:
        self._connection = connection
        self._texts = texts
        self._locks = locks
        self._looks: list[_Look] = []

    def waiting(self, keys: Sequence[str], each: int, only: Collection[str]) -> list[Waiting]:
        """Give the first of what is parked of these keys, locked."""
        with translated():
            found = self._found(keys, each, only, keys)
        self._looks.append(_Look(keys, each, only, found))
        return found

    def begin_in_order(self, keys: Iterable[str]) -> None:
        """See that the lanes of these keys too can be locked in order, before anything is written.

        Where one of them lies below what is locked, the transaction gives its locks back, begins anew, and takes all of
        them in their order. Else it might stand in a ring, with a live shard or another redrive, and PostgreSQL would
        break that after a second by undoing the work of either. Raises `Transient` where what waits is not the same any
        more.
        """
        looks, self._looks = self._looks, []
        if not looks:
            return
        looked, others = {key for look in looks for key in look.keys}, set(keys)
        locked = self._locks.lanes(looked)
        if all(lane in locked or lane > max(locked) for lane in self._locks.lanes(others)):
            return
        with translated():
            self._connection.execute("ROLLBACK")
            self._connection.execute(BEGIN)
            found = [self._found(look.keys, look.each, look.only, looked | others) for look in looks]
        if found != [look.found for look in looks]:
            raise Transient("What waits under the key was changed meanwhile.", cause="overtaken")

    def _found(self, keys: Sequence[str], each: int, only: Collection[str], locked: Iterable[str]) -> list[Waiting]:
        names = {"keys": text_array(keys), "each": each, "only": text_array(list(only)) if only else None}
        with pipelined(self._connection):
            self._connection.execute(self._texts.lock, (self._locks.space, self._locks.of(locked)), prepare=True)
            # Not prepared: a plan for any key and any IDs would read all of a key for one of its IDs.
            found: Any = self._connection.execute(self._texts.waiting, names, prepare=False)
        return [Waiting(*row) for row in found]
