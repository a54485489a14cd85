"""The planted bugs of what an error means, of handlers that misbehave, and of the park brake."""

from tests.mutants.mutant import Mutant

STORE = "tests/contract/test_store_sqlite.py"
HANDLERS = "tests/contract/test_sqlite_handlers.py"
BRAKE = ("tests/unit/test_brake.py", "tests/unit/test_braking.py")
RULES = "tests/unit/test_errorrules.py"
TABLE = "tests/unit/test_errortable.py"
BATCH, LENDING = "isthmus/consumer/batch.py", "isthmus/consumer/lending.py"

ERROR_MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "half-open lets everything through",
        "isthmus/consumer/breaker.py",
        "            case _:\n                return Answer(Permit.WAIT, _ASK_AGAIN)\n",
        "            case State.HALF_OPEN:\n                return Answer(Permit.GO)\n"
        "            case _:\n                return Answer(Permit.WAIT, _ASK_AGAIN)\n",
        ("tests/unit/test_breaker.py",),
    ),
    Mutant(
        "unknown errors of user code taken for an outage",
        BATCH,
        '                raise _PoisonAt(unknown, "handler", place, certain=False) from error\n',
        '                raise __import__("isthmus.errors").errors.TargetDown(str(unknown)) from error\n',
        (HANDLERS,),
    ),
    Mutant(
        "an unknown error counts the first time it comes",
        BATCH,
        'raise _PoisonAt(unknown, "handler", place, certain=False)',
        'raise _PoisonAt(unknown, "handler", place)',
        (f"{STORE}::TestStore::test_an_error_that_does_not_come_again_parks_nothing",),
    ),
    Mutant(
        "a handler's own BaseException ends the process",
        BATCH,
        "                if error is lent.raised and not isinstance(error, Exception):\n",
        "                if not isinstance(error, Exception):\n",
        (HANDLERS,),
    ),
    Mutant(
        "the death of the process inside a statement is parked",
        BATCH,
        "                if error is lent.raised and not isinstance(error, Exception):\n",
        "                if error is None:\n",
        (f"{STORE}::TestStore::test_a_crash_at_any_statement_leaves_nothing_behind",),
    ),
    Mutant(
        "a handler's transaction outlives its turn",
        LENDING,
        "            if self._over:\n",
        "            if self is None:\n",
        (HANDLERS,),
    ),
    Mutant(
        "a wave full of poison is written anew for each of it",
        "isthmus/consumer/batch.py",
        "                pieces.failed(len(part))\n",
        "",
        ("tests/contract/test_poison_pieces.py",),
    ),
    Mutant(
        "a handler that hangs keeps its transaction",
        LENDING,
        "            worker.turn.lent.cut(error)\n",
        "            pass\n",
        (HANDLERS,),
    ),
    Mutant(
        "handlers that hang for ever pile up",
        LENDING,
        "        if alive >= MOST_LET_GO:\n",
        "        if alive > 10 * MOST_LET_GO:\n",
        (HANDLERS,),
    ),
    Mutant(
        "attempts lost at a restart",
        "isthmus/consumer/limits.py",
        "            return max(here, self._tries.failed(txn))\n",
        "            return here\n",
        ("tests/unit/test_limits.py",),
    ),
    Mutant(
        "attempts at a parked change begin anew with each retry",
        "isthmus/consumer/stores/sqlite/statements.py",
        "stage = ?, attempts = attempts + 1,",
        "stage = ?, attempts = 1,",
        (f"{STORE}::TestRedrive",),
    ),
    Mutant(
        "an outage counts as an attempt at a change",
        "isthmus/consumer/limits.py",
        "            if error.attempts is None or not batch:\n                raise\n"
        "            return self._failed(batch, error)\n",
        "            error.attempts = error.attempts or 1\n            return self._failed(batch, error)\n",
        ("tests/unit/test_limits.py",),
    ),
    Mutant(
        "a rule makes a dead letter of an outage",
        "isthmus/errorrules.py",
        "        if is_ours(type(error)):\n",
        "        if error is None:\n",
        (RULES,),
    ),
    Mutant(
        "an error's own schedule is not kept",
        "isthmus/retry.py",
        "(error.backoff or backoff)",
        "backoff",
        (RULES,),
    ),
    Mutant(
        "a serialization failure parks",
        "isthmus/errortable.py",
        '    _again("serialization", "40001"),\n',
        '    _poison("serialization", "40001"),\n',
        (TABLE,),
    ),
    Mutant(
        "the park brake never goes on",
        "isthmus/consumer/brake.py",
        "        if not beyond:\n",
        "        if not beyond or self is not None:\n",
        BRAKE,
    ),
    Mutant(
        "the park brake is asked when it is too late",
        "isthmus/consumer/applier.py",
        "            self._brake.park(log.parked.values())\n",
        "",
        BRAKE,
    ),
    Mutant(
        "DynamoDB parks beyond the park brake",
        "isthmus/consumer/stores/dynamodb/one.py",
        "        self.before_parking(parking)\n",
        "",
        ("tests/contract/test_store_dynamodb_brake.py",),
    ),
    Mutant(
        "a restart forgets that the park brake is on",
        "isthmus/consumer/braking.py",
        "                self._brake.begin(now, notes)\n",
        "                self._brake.begin(now, {})\n",
        BRAKE,
    ),
    Mutant(
        "before the park brake's notes are read everything goes",
        "isthmus/consumer/brake.py",
        "        if not self._begun:\n",
        "        if self is None:\n",
        BRAKE,
    ),
    Mutant(
        "a smaller batch takes the park brake off",
        "isthmus/consumer/brake.py",
        "            elif is_at(reached, each.sequence):\n",
        "            elif reached is not None:\n",
        BRAKE,
    ),
    Mutant(
        "a release of days ago counts today",
        "isthmus/consumer/brake.py",
        "                self._seen[reason] = note.number\n",
        "                pass\n",
        BRAKE,
    ),
    Mutant(
        "a release of the time before releases this time",
        "isthmus/checkpoint/brakes.py",
        '"#number = :its_number AND #word = :on"',
        '"#number >= :its_number AND #word = :on"',
        ("tests/contract/test_brake_items.py",),
    ),
    Mutant(
        "other processes go on while the park brake is on",
        "isthmus/consumer/brake.py",
        "            each.state, each.failures = State.ON, 0\n",
        "            each.failures = 0\n",
        ("tests/unit/test_brake.py::test_a_restart_finds_it_on_and_lets_not_one_more_through",),
    ),
)
