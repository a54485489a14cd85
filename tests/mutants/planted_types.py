"""The planted bugs of types that share keys, of what user code is handed, and of what is too large."""

from tests.mutants.mutant import Mutant

D, P, S = "isthmus/consumer/stores/dynamodb/", "isthmus/consumer/stores/postgres/", "isthmus/consumer/stores/sqlite/"
DECIDING = "tests/unit/test_deciding.py"
STORE = "tests/contract/test_store_sqlite.py"

TYPE_MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "an older state of another type is stale",
        "isthmus/consumer/deciding.py",
        "change.version <= guard.version and not _of_another_type(change, guard)",
        "change.version <= guard.version",
        (DECIDING, STORE),
    ),
    Mutant(
        "a state overwrites the guard of another type",
        "isthmus/consumer/deciding.py",
        "    return _by_type(change, memory) if kind is _STATE else TRY\n",
        "    return TRY\n",
        (DECIDING, STORE),
    ),
    Mutant(
        "PostgreSQL: the quick way overwrites the guard of another type",
        f"{P}statements.py",
        " AND g.entity = EXCLUDED.entity ",
        " ",
        ("tests/contract/test_postgres_quick.py",),
    ),
    Mutant(
        "SQLite: the quick way overwrites the guard of another type",
        f"{S}statements.py",
        "    AND isthmus_guard.entity = excluded.entity\n",
        "",
        ("tests/contract/test_sqlite_quick.py",),
    ),
    Mutant(
        "PostgreSQL: a state frees what is parked of another type",
        f"{P}statements.py",
        "\n        WHERE p.key = f.key AND p.entity = f.entity AND",
        "\n        WHERE p.key = f.key AND",
        ("tests/contract/test_store_postgres.py",),
    ),
    Mutant(
        "SQLite: a state frees what is parked of another type",
        f"{S}statements.py",
        "WHERE key = ? AND entity = ? AND version < ?",
        "WHERE key = ? AND ? <> '' AND version < ?",
        (STORE,),
    ),
    Mutant(
        "DynamoDB: a state frees what is parked of another type",
        f"{D}lot.py",
        'if row["entity"]["S"] == change.entity and ',
        "if ",
        ("tests/contract/test_store_dynamodb.py",),
    ),
    Mutant(
        "handlers work on the very change that is parked",
        "isthmus/consumer/batch.py",
        "handler(lent, detached_change(change), detached(previous))",
        "handler(lent, change, previous)",
        (STORE,),
    ),
    Mutant(
        "a row function works on the very state that is parked",
        "isthmus/pipeline.py",
        "self.values(detached(data))",
        "self.values(data)",
        (STORE,),
    ),
    Mutant(
        "what a handler returns is dropped",
        "isthmus/consumer/refusals.py",
        "    raise Poison(HANDLER_RETURN, message)\n",
        "",
        (STORE,),
    ),
    Mutant(
        "a record is passed with its first part",
        "isthmus/consumer/processor.py",
        "records[index - 1].place if index > begun else None",
        "record.place",
        ("tests/unit/test_processor_payloads.py",),
    ),
    Mutant(
        "PostgreSQL: a column too small for what the contract allows",
        f"{P}capacity.py",
        "return -limit <= number < limit",
        "return -limit <= number <= limit",
        ("tests/contract/test_postgres_checks.py",),
    ),
)
