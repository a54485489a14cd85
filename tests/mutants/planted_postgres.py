"""The planted bugs of the PostgreSQL store, where it depends on what others do to the database."""

from tests.mutants.mutant import Mutant

P = "isthmus/consumer/stores/postgres/"
POSTGRES = "tests/contract/test_store_postgres.py"
HANDLERS = "tests/contract/test_postgres_handlers.py"
ERRORS = "tests/contract/test_postgres_errors.py"
SCHEMA = "tests/contract/test_postgres_schema.py"
ACCESS = "tests/contract/test_postgres_access.py"
QUICK = "tests/contract/test_postgres_quick.py::test_once_a_row_is_settled_it_asks_for_rows_and_goes_on"
REDRIVE = "tests/contract/test_postgres_redrive.py"
SCREENING = "tests/contract/test_postgres_screening.py"
LOT = "tests/contract/test_postgres_lot.py"

POSTGRES_MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "PostgreSQL: a handler's parameters are read when they are sent",
        f"{P}effects.py",
        "self._writes.append((self._place, statement, _as_given(parameters)))",
        "self._writes.append((self._place, statement, parameters))",
        (POSTGRES,),
    ),
    Mutant(
        "PostgreSQL: a handler makes a commit less durable",
        f"{P}unit.py",
        "                    self._connection.execute(self._durably, prepare=True)\n",
        "",
        (HANDLERS,),
    ),
    Mutant(
        "PostgreSQL: a trigger makes a commit of the quick way less durable",
        f"{P}quick.py",
        "                    run(self._durably)\n",
        "",
        (HANDLERS,),
    ),
    Mutant(
        "PostgreSQL: a session does as the server is told later",
        f"{P}connection.py",
        "SELECT set_config('synchronous_commit', current_setting('synchronous_commit'), false), ",
        "SELECT current_setting('synchronous_commit'), ",
        (HANDLERS,),
    ),
    Mutant(
        "PostgreSQL: a column that was altered rounds",
        f"{P}columns.py",
        "        if found != self._found:\n",
        "        if not found:\n",
        (ERRORS,),
    ),
    Mutant(
        "PostgreSQL: a row that a trigger lets fall counts as written",
        f"{P}unit.py",
        "        if fallen:\n",
        "        if fallen and not rows:\n",
        (ERRORS,),
    ),
    Mutant(
        "PostgreSQL: a row that a trigger lets fall counts as written on the quick way",
        f"{P}quick.py",
        " and self._all_written()",
        "",
        (ERRORS,),
    ),
    Mutant(
        "PostgreSQL: another application's memory is pruned",
        f"{P}own.py",
        '    if found["application"] != application:\n',
        '    if found["application"] == "":\n',
        (SCHEMA,),
    ),
    Mutant(
        "PostgreSQL: the environment says which host it is",
        f"{P}connection.py",
        "        **hosts,\n",
        "",
        (ACCESS,),
    ),
    Mutant(
        "PostgreSQL: what the server refused shows when the pipeline ends",
        f"{P}quick.py",
        "                    # What the server refused meanwhile would else be raised when the pipeline ends.\n"
        "                    drain(self._connection, pipeline)\n",
        "                    pass\n",
        (ERRORS,),
    ),
    Mutant(
        "PostgreSQL: what waits is read without the key's lock",
        f"{P}lanes.py",
        "self._connection.execute(self._texts.lock, (self._locks.space, self._locks.of(locked)), prepare=True)",
        "pass",
        (REDRIVE,),
    ),
    Mutant(
        "PostgreSQL: a batch with poison here and there is written in vain for each",
        f"{P}store.py",
        "            others = [] if is_screened else quick.in_the_way(batch, entities)\n",
        "            others: list[int] = []\n",
        (SCREENING,),
    ),
    Mutant(
        "PostgreSQL: what is null is taken for refused",
        f"{P}screening.py",
        "IS FALSE",
        "IS NOT TRUE",
        (SCREENING,),
    ),
    Mutant(
        "PostgreSQL: batches are screened for ever",
        f"{P}store.py",
        "is_screened, self._wary = True, self._wary - 1",
        "is_screened, self._wary = True, self._wary",
        (SCREENING,),
    ),
    Mutant(
        "PostgreSQL: a redrive takes a lane while it holds a higher one",
        f"{P}lanes.py",
        "        if all(lane in locked or lane > max(locked) for lane in self._locks.lanes(others)):\n",
        "        if looked:\n",
        (REDRIVE,),
    ),
    Mutant(
        "PostgreSQL: what is redriven is told of as superseded",
        f"{P}unit.py",
        "                if log.redriven:\n"
        "                    # First of all: what is freed is told of as superseded.\n"
        "                    self._run(self._texts.take_out, sql.place_arrays(log.redriven))\n"
        "                told = self._news(log) if log.keeps_history else []\n",
        "                told = self._news(log) if log.keeps_history else []\n"
        "                if log.redriven:\n"
        "                    self._run(self._texts.take_out, sql.place_arrays(log.redriven))\n",
        (REDRIVE,),
    ),
    Mutant(
        "PostgreSQL: a rehearsal asks no constraint that waits for the commit",
        f"{P}unit.py",
        '            self._end("SET CONSTRAINTS ALL IMMEDIATE")\n',
        "            pass\n",
        (REDRIVE,),
    ),
    Mutant(
        "PostgreSQL: the quick way takes a row that an operator discarded",
        f"{P}statements.py",
        '" OR EXISTS (" + _ROW_SETTLED + "))"',
        '")"',
        (QUICK,),
    ),
    Mutant(
        "PostgreSQL: keys are looked for among the first rows alone",
        f"{P}looking.py",
        "    return near if len(near) == most else ask(_FITTING_KEYS, **placed, **wanted)\n",
        "    return near\n",
        (LOT,),
    ),
)
