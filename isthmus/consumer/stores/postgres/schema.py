"""Our own tables in a PostgreSQL front office, in a schema of their own. The user's tables stay the user's."""

from collections.abc import Iterator
from datetime import date

from isthmus.consumer.stores.postgres.names import literal, quoted

SCHEMA_VERSION = 1
LEAST_SERVER = 140_000
"""PostgreSQL 14: pruning reads a table in ranges of its pages (release notes of 14, "TID range scans")."""
MONTHS_AHEAD = 2

PARTITIONED = ("ledger", "history")
"""By the month of the change's own time, which is the same each time it comes: what is old is dropped, not deleted."""
TABLES = ("meta", "guard", "ledger", "settled", "parked", "outbox", "audit", "held", "gate", "fence", "history")

_TEXT = 'text COLLATE "C" NOT NULL'
"""Compared byte by byte: faster than by any language's rules, and versions must be compared so."""

_TABLES = (
    "CREATE TABLE IF NOT EXISTS {s}.meta (name text PRIMARY KEY, value text NOT NULL)",
    # kind `state`: decides. A deleted entity's row stays as long as the delete memory, or a late update would bring it
    # back. Room on each page, and no index on what changes: then an update touches one page and no index.
    f"""CREATE TABLE IF NOT EXISTS {{s}}.guard (
        key {_TEXT} PRIMARY KEY, version {_TEXT}, txn {_TEXT}, rowhash {_TEXT}, deleted boolean NOT NULL,
        entity {_TEXT}, decided bigint NOT NULL) WITH (fillfactor = 70)""",
    # kind `event`: decides. The month is the change's own: a key that holds the moment of arrival would let a
    # redelivery in.
    f"""CREATE TABLE IF NOT EXISTS {{s}}.ledger (
        txn {_TEXT}, month date NOT NULL, key {_TEXT}, version {_TEXT}, rowhash {_TEXT}, decided bigint NOT NULL,
        PRIMARY KEY (txn, month)) PARTITION BY RANGE (month)""",
    "CREATE INDEX IF NOT EXISTS ledger_decided ON {s}.ledger USING brin (decided)",
    # What an operator discarded or edited, as long as the delete memory.
    f"CREATE TABLE IF NOT EXISTS {{s}}.settled (txn {_TEXT} PRIMARY KEY, decided bigint NOT NULL)",
    f"""CREATE TABLE IF NOT EXISTS {{s}}.parked (
        place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key {_TEXT}, txn {_TEXT}, version {_TEXT},
        rowhash {_TEXT}, source {_TEXT}, entity {_TEXT}, epoch bigint NOT NULL, detected {_TEXT},
        arrived bigint NOT NULL, reason {_TEXT}, message {_TEXT}, stage {_TEXT}, event bytea NOT NULL,
        decodable boolean NOT NULL, shard {_TEXT}, sequence {_TEXT}, attempts integer NOT NULL DEFAULT 1,
        first_at bigint NOT NULL, last_at bigint NOT NULL, UNIQUE (key, txn))""",
    "CREATE INDEX IF NOT EXISTS parked_order ON {s}.parked (key, version)",
    "CREATE INDEX IF NOT EXISTS parked_reason ON {s}.parked (reason)",
    # The copy for the dead-letter queue, written with the parking.
    f"""CREATE TABLE IF NOT EXISTS {{s}}.outbox (
        place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key {_TEXT}, txn {_TEXT}, source {_TEXT},
        reason {_TEXT}, shard {_TEXT}, sequence {_TEXT}, event bytea NOT NULL, written bigint NOT NULL)""",
    # Who discarded or edited what, and why: the change as it was, for good.
    f"""CREATE TABLE IF NOT EXISTS {{s}}.audit (
        place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at bigint NOT NULL, who {_TEXT}, why {_TEXT},
        deed {_TEXT}, key {_TEXT}, txn {_TEXT}, version {_TEXT}, source {_TEXT}, entity {_TEXT}, reason {_TEXT},
        message {_TEXT}, event bytea NOT NULL, made bytea)""",
    "CREATE INDEX IF NOT EXISTS audit_key ON {s}.audit (key, txn)",
    # What closed gates keep back, per key in the order of `place`.
    f"""CREATE TABLE IF NOT EXISTS {{s}}.held (
        place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key {_TEXT}, txn {_TEXT}, version {_TEXT},
        rowhash {_TEXT}, source {_TEXT}, entity {_TEXT}, epoch bigint NOT NULL, detected {_TEXT},
        arrived bigint NOT NULL, gate {_TEXT}, event bytea NOT NULL, decodable boolean NOT NULL, shard {_TEXT},
        sequence {_TEXT}, held bigint NOT NULL, UNIQUE (key, txn))""",
    "CREATE INDEX IF NOT EXISTS held_order ON {s}.held (key, place)",
    # The gates themselves, mirrored where `gate.strict` asks for it: a handful of rows.
    f"""CREATE TABLE IF NOT EXISTS {{s}}.gate (
        name {_TEXT} PRIMARY KEY, process {_TEXT}, source {_TEXT}, entity {_TEXT}, prefix {_TEXT},
        closed boolean NOT NULL, mode {_TEXT}, who {_TEXT}, reason {_TEXT}, since bigint NOT NULL, until bigint,
        revision bigint NOT NULL)""",
    f"""CREATE TABLE IF NOT EXISTS {{s}}.fence (
        source {_TEXT}, lane integer NOT NULL, epoch bigint NOT NULL, PRIMARY KEY (source, lane))""",
    # For `isthmus trace`; no safety rests on it.
    f"""CREATE TABLE IF NOT EXISTS {{s}}.history (
        place bigint GENERATED ALWAYS AS IDENTITY, month date NOT NULL, key {_TEXT}, version {_TEXT}, txn {_TEXT},
        outcome {_TEXT}, source {_TEXT}, epoch bigint NOT NULL, detected {_TEXT}, arrived bigint NOT NULL,
        decided bigint NOT NULL, shard {_TEXT}, sequence {_TEXT}) PARTITION BY RANGE (month)""",
    "CREATE INDEX IF NOT EXISTS history_key ON {s}.history (key)",
    "CREATE INDEX IF NOT EXISTS history_decided ON {s}.history USING brin (decided)",
)


def statements(schema: str, today: date) -> Iterator[str]:
    """Give what makes our own tables where they are not there."""
    s = quoted(schema)
    yield f"CREATE SCHEMA IF NOT EXISTS {s}"
    for statement in _TABLES:
        yield statement.format(s=s)
    for table in PARTITIONED:
        # What is older than this installation, as in a first load, shares one partition: there is no end of months.
        yield (
            f"CREATE TABLE IF NOT EXISTS {s}.{table}_older PARTITION OF {s}.{table} "
            f"FOR VALUES FROM (MINVALUE) TO ({_first(today)})"
        )
        yield f"CREATE TABLE IF NOT EXISTS {s}.{table}_later PARTITION OF {s}.{table} DEFAULT"
    yield (
        f"INSERT INTO {s}.meta (name, value) VALUES ('schema_version', '{SCHEMA_VERSION}'), "  # noqa: S608 - quoted, and numbers
        f"('first_month', {_first(today)}) ON CONFLICT (name) DO NOTHING"
    )


def first_months(schema: str, today: date) -> Iterator[str]:
    """Give what makes the months of an installation in which nothing is yet, after `statements`."""
    s = quoted(schema)
    for table in PARTITIONED:
        for month in months(today, today):
            yield (
                f"CREATE TABLE IF NOT EXISTS {s}.{partition(table, month)} PARTITION OF {s}.{table} "
                f"FOR VALUES {_values(month)}"
            )


def owned_by(schema: str, application: str, lanes: int) -> str:
    """Give what notes whose tables they are, where nobody has."""
    return (
        f"INSERT INTO {quoted(schema)}.meta (name, value) VALUES ('application', {literal(application)}), "  # noqa: S608 - quoted
        f"('lanes', '{lanes}') ON CONFLICT (name) DO NOTHING"
    )


def months(begin: date, today: date) -> list[date]:
    """Give the months that need a partition of their own, from the installation's to some ahead."""
    found, month = [], begin.replace(day=1)
    last = today.replace(day=1)
    for _ in range(MONTHS_AHEAD):
        last = after(last)
    while month <= last:
        found.append(month)
        month = after(month)
    return found


def after(month: date) -> date:
    """Give the next month."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def partition(table: str, month: date) -> str:
    """Give the name of a month's partition."""
    return f"{table}_{month.year:04d}_{month.month:02d}"


def make_partition(schema: str, table: str, month: date) -> list[str]:
    """Give what makes a month's partition and takes over what lay in the partition of all later months."""
    s, name = quoted(schema), partition(table, month)
    bounds = f"month >= {_first(month)} AND month < {_first(after(month))}"
    # Rows whole, whatever columns a newer release has added: both have those of the table itself, in its order.
    moved = f"DELETE FROM {s}.{table}_later WHERE {bounds} RETURNING *"  # noqa: S608 - quoted, and constants
    return [
        # Until the month has a place of its own, nobody may put anything of it among the later ones.
        f"LOCK TABLE {s}.{table}_later IN ACCESS EXCLUSIVE MODE",
        f"CREATE TABLE {s}.{name} (LIKE {s}.{table} INCLUDING ALL EXCLUDING IDENTITY)",
        f"WITH moved AS ({moved}) INSERT INTO {s}.{name} SELECT * FROM moved",  # noqa: S608 - same
        f"ALTER TABLE {s}.{table} ATTACH PARTITION {s}.{name} FOR VALUES {_values(month)}",
    ]


def _values(month: date) -> str:
    return f"FROM ({_first(month)}) TO ({_first(after(month))})"


def _first(month: date) -> str:
    return f"'{month.year:04d}-{month.month:02d}-01'"
