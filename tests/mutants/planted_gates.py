"""Planted bugs of gates: what must be held, in which order, and how old a reading may be."""

from tests.mutants.mutant import Mutant

DECIDING = "tests/unit/test_deciding.py"
CORE = "tests/unit/test_gates.py"
READER = "tests/unit/test_gate_reader.py"
DRAINING = "tests/unit/test_draining.py"
PROCESSOR = "tests/unit/test_processor_gates.py"
STORE = "tests/contract/test_sqlite_gates.py::TestGates"
POSTGRES = "tests/contract/test_store_postgres.py::TestGates"
DYNAMO_GATES = "tests/contract/test_store_dynamodb_gates.py"
DYNAMO_LETTERS = "tests/contract/test_store_dynamodb.py::TestLetters"
HELD = "tests/contract/test_store_dynamodb_held.py"
MIRRORED = "tests/contract/test_store_dynamodb_mirrored.py"

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
        "isthmus/consumer/portions.py",
        "is not None:\n                break\n            part.append(row)\n",
        "is not None:\n                continue\n            part.append(row)\n",
        (STORE,),
    ),
    Mutant(
        "what drains is not taken out",
        "isthmus/consumer/portions.py",
        "        attempt.drained.extend((row.held.key, row.held.txn) for row in chosen)\n",
        "        attempt.drained.extend((row.held.key, row.held.txn) for row in chosen[:-1])\n",
        (STORE,),
    ),
    Mutant(
        "a redrive that asks no gate",
        "isthmus/consumer/redrive.py",
        "        if closing is None:\n",
        "        if closing is None or closing:\n",
        (STORE,),
    ),
    Mutant(
        "a drain beside the brake",
        "isthmus/consumer/portions.py",
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
        "DynamoDB: a reading of the gates that is confirmed by nobody",
        "isthmus/consumer/stores/dynamodb/gating.py",
        "            self._gates.confirm(self._asked.view)\n",
        "            self._gates.view()\n",
        (f"{DYNAMO_GATES}::TestGates", DYNAMO_LETTERS),
    ),
    Mutant(
        "DynamoDB: a state by one write that asks for no mark",
        "isthmus/consumer/stores/dynamodb/effects.py",
        '            f"AND {expression.absent(marks.held)}"\n',
        '            ""\n',
        (HELD,),
    ),
    Mutant(
        "DynamoDB: a change held without the mark",
        "isthmus/consumer/stores/dynamodb/holds.py",
        "        if home is None or not line.marks(entity):\n",
        "        if home is None or line.marks(entity):\n",
        (HELD,),
    ),
    Mutant(
        "DynamoDB: the mark goes with the first that drains",
        "isthmus/consumer/stores/dynamodb/effects.py",
        "        if line is None or not line.marks(change.entity):\n",
        "        if line is None or standing.draining is not None or not line.marks(change.entity):\n",
        (HELD,),
    ),
    Mutant(
        "DynamoDB: a mark that stays for ever",
        "isthmus/consumer/stores/dynamodb/effects.py",
        "for name in (marks.parked, marks.held) if name not in values]",
        "for name in (marks.parked,) if name not in values]",
        (HELD,),
    ),
    Mutant(
        "DynamoDB: an event that asks for nothing held in its transaction",
        "isthmus/consumer/stores/dynamodb/effects.py",
        "            actions.append(check_absent(standing.line))\n",
        "            pass\n",
        (HELD,),
    ),
    Mutant(
        "DynamoDB: a newer state frees a held key",
        "isthmus/consumer/stores/dynamodb/standing.py",
        "        if self.line.item is not None and self.draining is None:\n",
        "        if self.line.item is not None and self.draining is None and self.home is None:\n",
        (f"{DYNAMO_GATES}::TestGates",),
    ),
    Mutant(
        "DynamoDB: a line written whatever its turn is",
        "isthmus/consumer/stores/dynamodb/holds.py",
        "        return put(place.table, line.item(), expression, condition)\n",
        '        return Action("Put", {"TableName": place.table, "Item": line.item()})\n',
        (HELD,),
    ),
    Mutant(
        "DynamoDB: drained out of order",
        "isthmus/consumer/stores/dynamodb/heldlines.py",
        '    return item_key(of_key(key), f"{HELD}{place:020d}")',
        '    return item_key(of_key(key), f"{HELD}{place}")',
        ("tests/unit/test_held_lines.py",),
    ),
    Mutant(
        "DynamoDB: a drain that leaves the first one where it is",
        "isthmus/consumer/stores/dynamodb/draining.py",
        "        if line is None or line.first != place_of(row):\n",
        "        if line is None:\n",
        (HELD,),
    ),
    Mutant(
        "DynamoDB: a drain that overtakes what is closed still",
        "isthmus/consumer/stores/dynamodb/draining.py",
        "        if parts.gating.closing(change) is not None:\n            raise _Ends\n",
        "        parts.gating.closing(change)\n",
        (f"{DYNAMO_GATES}::TestGates",),
    ),
    Mutant(
        "DynamoDB: a tombstone that expires while something of it is held",
        "isthmus/consumer/stores/dynamodb/holds.py",
        "        return [update(home, sets, [marks.expires], expression, condition)]\n",
        "        return [update(home, sets, [], expression, condition)]\n",
        (HELD,),
    ),
    Mutant(
        "DynamoDB: a tombstone pruned while something of it is held",
        "isthmus/consumer/stores/dynamodb/pruning.py",
        "            # While something of it is held, it stays as it is.\n            return\n",
        "            pass\n",
        (HELD,),
    ),
    Mutant(
        "DynamoDB: a strict gate that no transaction asks for",
        "isthmus/consumer/stores/dynamodb/gating.py",
        "        return [] if known is None else [known.unchanged()]\n",
        "        return []\n",
        (MIRRORED,),
    ),
    Mutant(
        "DynamoDB: a mirror that is done once the gate stands there",
        "isthmus/consumer/stores/dynamodb/mirrored.py",
        "            if there > mine or (there == mine and _DONE in place.item):\n",
        "            if there >= mine:\n",
        (MIRRORED,),
    ),
    Mutant(
        "DynamoDB: letters decided by one look at the gates",
        "isthmus/consumer/stores/dynamodb/letters.py",
        "            decided = self._parts.one.decide(delivered, settled)\n",
        "            self._requests.before_write = lambda: None\n"
        "            decided = self._parts.one.decide(delivered, settled)\n",
        (DYNAMO_LETTERS,),
    ),
    Mutant(
        "DynamoDB: a handler's transaction that is never taken back",
        "isthmus/consumer/stores/dynamodb/handling.py",
        "                lent.end()\n",
        "                pass\n",
        ("tests/contract/test_store_dynamodb_handlers.py",),
    ),
    Mutant(
        "DynamoDB: handlers that hang are counted for each thread",
        "isthmus/consumer/lending.py",
        "attempts=self._attempts, let_go=self._let_go)",
        "attempts=self._attempts)",
        ("tests/unit/test_lending.py",),
    ),
    Mutant(
        "a redrive in which nothing goes before a handler that hangs",
        "isthmus/consumer/redrive.py",
        "        if len(line) > 1:\n",
        "        if len(line) > 99:\n",
        ("tests/contract/test_sqlite_handlers.py",),
    ),
    Mutant(
        "a batch begun while the shards stand",
        "isthmus/consumer/processor.py",
        "                stand(self._gates, self._stop)\n",
        "                self._gates.view()\n",
        (PROCESSOR,),
    ),
    Mutant(
        "a gate of which nothing is known is not told",
        "isthmus/consumer/gates.py",
        "sum(closing.state is State.UNKNOWN for",
        "sum(closing.state is State.OPEN for",
        (READER,),
    ),
    Mutant(
        "a window is told as a gate that nobody opens",
        "isthmus/consumer/gates.py",
        "for gate in self._found if gate.until_ms is None}",
        "for gate in self._found}",
        (READER,),
    ),
    Mutant(
        "what hangs while it is drained is not told",
        "isthmus/consumer/draining.py",
        "                self._metrics.held_drainable.set(free)\n",
        "                pass\n",
        (DRAINING,),
    ),
    Mutant(
        "what is not drained, although nothing fails, is not told",
        "isthmus/consumer/draining.py",
        "        self._metrics.held_drainable.set(free)\n        return number\n",
        "        self._metrics.held_drainable.set(0)\n        return number\n",
        (DRAINING,),
    ),
    Mutant(
        "what is held is told as drainable while every shard stands",
        "isthmus/consumer/draining.py",
        "            self._metrics.held_drainable.set(0)\n            return False\n",
        "            return False\n",
        (DRAINING,),
    ),
    Mutant(
        "who was relieved tells for ever what was held",
        "isthmus/consumer/draining.py",
        "            self._numbers(())\n",
        "            pass\n",
        (DRAINING,),
    ),
)
