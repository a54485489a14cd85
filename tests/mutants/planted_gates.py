"""Planted bugs of gates: what must be held, in which order, and how old a reading may be."""

from tests.mutants.mutant import Mutant

DECIDING = "tests/unit/test_deciding.py"
CORE = "tests/unit/test_gates.py"
READER = "tests/unit/test_gate_reader.py"
PROCESSOR = "tests/unit/test_processor_gates.py"
STORE = "tests/contract/test_sqlite_gates.py::TestGates"
POSTGRES = "tests/contract/test_store_postgres.py::TestGates"

GATE_MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "a gate read once at start",
        "isthmus/consumer/gates.py",
        "            self.turn()\n            stop.wait(READ_EVERY)\n",
        "            self.turn()\n            stop.wait(86_400)\n",
        (READER,),
    ),
    Mutant(
        "a reading counts for ever",
        "isthmus/checkpoint/gates.py",
        "        if read_at is None or now - read_at > LAST_KNOWN_SECONDS:\n",
        "        if read_at is None:\n",
        (CORE,),
    ),
    Mutant(
        "a reading counts from its answer",
        "isthmus/consumer/gates.py",
        "            self._readings.read(found, asked)\n",
        "            self._readings.read(found, self._clock.monotonic())\n",
        (READER,),
    ),
    Mutant(
        "a gate whose item is missing is open",
        "isthmus/checkpoint/gates.py",
        "            if covers not in known:\n",
        "            if covers not in known and covers in self._seen:\n",
        (CORE,),
    ),
    Mutant(
        "a held key freed by a newer state",
        "isthmus/consumer/deciding.py",
        "    if gate or change.key in memory.held_keys:\n",
        "    if gate or (change.key in memory.held_keys and kind is not _STATE):\n",
        (DECIDING, STORE),
    ),
    Mutant(
        "parked asked before held",
        "isthmus/consumer/deciding.py",
        "    if gate or change.key in memory.held_keys:\n",
        "    is_behind = kind is _EVENT and change.key in memory.newest_parked\n"
        "    if not is_behind and (gate or change.key in memory.held_keys):\n",
        (DECIDING, STORE),
    ),
    Mutant(
        "no look at the gates before the commit",
        "isthmus/consumer/applier.py",
        "            # At the end: what was read when it began is older by all that it took.\n"
        "            self._confirm(view)\n",
        "",
        (STORE,),
    ),
    Mutant(
        "SQLite: no look at the gates before the quick way commits",
        "isthmus/consumer/stores/sqlite/store.py",
        "                    confirm()\n",
        "",
        (STORE,),
    ),
    Mutant(
        "SQLite: the quick way asks for nothing held",
        "isthmus/consumer/stores/sqlite/quick.py",
        "        if any_held and ",
        "        if not any_held and ",
        (STORE,),
    ),
    Mutant(
        "SQLite: an older mirror opens a gate",
        "isthmus/consumer/stores/sqlite/statements.py",
        "\n    WHERE (isthmus_gate.since, isthmus_gate.revision) < (excluded.since, excluded.revision)",
        "",
        (STORE,),
    ),
    Mutant(
        "PostgreSQL: no look at the gates before the quick way commits",
        "isthmus/consumer/stores/postgres/store.py",
        "            if taken.done:\n                confirm()\n",
        "",
        (POSTGRES,),
    ),
    Mutant(
        "PostgreSQL: the quick way asks for nothing held",
        "isthmus/consumer/stores/postgres/statements.py",
        "UNION ALL SELECT key FROM {s}.held) AS waiting",
        "UNION ALL SELECT key FROM {s}.held WHERE false) AS waiting",
        (POSTGRES,),
    ),
    Mutant(
        "PostgreSQL: a gate is mirrored beside who found it open",
        "isthmus/consumer/stores/postgres/statements.py",
        "SELECT pg_advisory_xact_lock_shared(p.space, -3) FROM p\n        UNION ALL ",
        "",
        ("tests/contract/test_postgres_gates.py",),
    ),
    Mutant(
        "a drain that overtakes what is closed still",
        "isthmus/consumer/draining.py",
        "is not None:\n                break\n            part.append(row)\n",
        "is not None:\n                continue\n            part.append(row)\n",
        (STORE,),
    ),
    Mutant(
        "what drains is not taken out",
        "isthmus/consumer/draining.py",
        "        attempt.drained.extend((row.held.key, row.held.txn) for row in chosen)\n",
        "        attempt.drained.extend((row.held.key, row.held.txn) for row in chosen[:-1])\n",
        (STORE,),
    ),
    Mutant(
        "a redrive that asks no gate",
        "isthmus/consumer/redrive.py",
        "            if closing is not None:\n",
        "            if closing is not None and not closing:\n",
        (STORE,),
    ),
    Mutant(
        "a drain beside the brake",
        "isthmus/consumer/draining.py",
        "            if self._brake is not None:\n                self._brake.park(attempt.parked.values())\n",
        "",
        ("tests/unit/test_draining.py",),
    ),
    Mutant(
        "DynamoDB: a change written without a look at the gates",
        "isthmus/consumer/stores/dynamodb/requests.py",
        "    def _all(self, wanted: Sequence[Mapping[str, Any]], ours: int) -> None:\n        self.before_write()\n",
        "    def _all(self, wanted: Sequence[Mapping[str, Any]], ours: int) -> None:\n",
        ("tests/contract/test_store_dynamodb_gates.py",),
    ),
    Mutant(
        "a batch begun while the shards stand",
        "isthmus/consumer/processor.py",
        "                stand(self._gates, self._stop)\n",
        "                self._gates.view()\n",
        (PROCESSOR,),
    ),
)
