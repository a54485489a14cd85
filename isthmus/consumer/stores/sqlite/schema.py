"""Our own tables in a SQLite front office. The user's tables stay the user's."""

SCHEMA_VERSION = 1

STATEMENTS = (
    "CREATE TABLE IF NOT EXISTS isthmus_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # kind `state`: decides. A deleted entity's row stays as long as the delete memory, or a late update would bring it
    # back. Not WITHOUT ROWID: keys come in no order, and a batch of new ones then changes pages of a narrow index and
    # the table's end instead of a page each. Measured with `make bench`: a batch takes two thirds of the time.
    """CREATE TABLE IF NOT EXISTS isthmus_guard (
        key TEXT NOT NULL PRIMARY KEY, version TEXT NOT NULL, txn TEXT NOT NULL, rowhash TEXT NOT NULL,
        deleted INTEGER NOT NULL, entity TEXT NOT NULL, decided INTEGER NOT NULL, told INTEGER)""",
    # kind `event`: decides. IDs come in no order either.
    """CREATE TABLE IF NOT EXISTS isthmus_ledger (
        txn TEXT NOT NULL PRIMARY KEY, key TEXT NOT NULL, version TEXT NOT NULL, rowhash TEXT NOT NULL,
        decided INTEGER NOT NULL)""",
    # What an operator discarded or edited, as long as the delete memory.
    "CREATE TABLE IF NOT EXISTS isthmus_settled (txn TEXT PRIMARY KEY, decided INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS isthmus_parked (
        place INTEGER PRIMARY KEY, key TEXT NOT NULL, txn TEXT NOT NULL, version TEXT NOT NULL, rowhash TEXT NOT NULL,
        source TEXT NOT NULL, entity TEXT NOT NULL, epoch INTEGER NOT NULL, detected TEXT NOT NULL,
        arrived INTEGER NOT NULL, reason TEXT NOT NULL, message TEXT NOT NULL, stage TEXT NOT NULL,
        event BLOB NOT NULL, decodable INTEGER NOT NULL, shard TEXT NOT NULL, sequence TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 1, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, UNIQUE (key, txn))""",
    "CREATE INDEX IF NOT EXISTS isthmus_parked_order ON isthmus_parked (key, version)",
    "CREATE INDEX IF NOT EXISTS isthmus_parked_reason ON isthmus_parked (reason, key)",
    # The copy for the dead-letter queue, written with the parking.
    """CREATE TABLE IF NOT EXISTS isthmus_outbox (
        place INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, txn TEXT NOT NULL, source TEXT NOT NULL,
        reason TEXT NOT NULL, shard TEXT NOT NULL, sequence TEXT NOT NULL, event BLOB NOT NULL,
        written INTEGER NOT NULL)""",
    # Who discarded or edited what, and why: the change as it was, for good.
    """CREATE TABLE IF NOT EXISTS isthmus_audit (
        place INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL,
        deed TEXT NOT NULL, key TEXT NOT NULL, txn TEXT NOT NULL, version TEXT NOT NULL, source TEXT NOT NULL,
        entity TEXT NOT NULL, reason TEXT NOT NULL, message TEXT NOT NULL, event BLOB NOT NULL, made BLOB)""",
    "CREATE INDEX IF NOT EXISTS isthmus_audit_key ON isthmus_audit (key, txn)",
    # What closed gates keep back, per key in the order of `place`; what an older release made has none of it.
    """CREATE TABLE IF NOT EXISTS isthmus_held (
        place INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, txn TEXT NOT NULL, version TEXT NOT NULL,
        rowhash TEXT NOT NULL, source TEXT NOT NULL, entity TEXT NOT NULL, epoch INTEGER NOT NULL,
        detected TEXT NOT NULL, arrived INTEGER NOT NULL, gate TEXT NOT NULL, event BLOB NOT NULL,
        decodable INTEGER NOT NULL, shard TEXT NOT NULL, sequence TEXT NOT NULL, held INTEGER NOT NULL,
        UNIQUE (key, txn))""",
    "CREATE INDEX IF NOT EXISTS isthmus_held_order ON isthmus_held (key, place)",
    # The gates themselves, mirrored where `gate.strict` asks for it: a handful of rows.
    """CREATE TABLE IF NOT EXISTS isthmus_gate (
        name TEXT PRIMARY KEY, process TEXT NOT NULL, source TEXT NOT NULL, entity TEXT NOT NULL, prefix TEXT NOT NULL,
        closed INTEGER NOT NULL, mode TEXT NOT NULL, who TEXT NOT NULL, reason TEXT NOT NULL, since INTEGER NOT NULL,
        until INTEGER, revision INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS isthmus_fence (
        source TEXT NOT NULL, lane INTEGER NOT NULL, epoch INTEGER NOT NULL,
        PRIMARY KEY (source, lane)) WITHOUT ROWID""",
    # For `isthmus trace`; no safety rests on it. Rows are appended and chained by key, see `trail.py`: an index would
    # cost each change more than its guard does. So looking for a transaction ID reads the whole table.
    """CREATE TABLE IF NOT EXISTS isthmus_history (
        place INTEGER PRIMARY KEY, before INTEGER, key TEXT NOT NULL, version TEXT NOT NULL, txn TEXT NOT NULL,
        outcome TEXT NOT NULL, source TEXT NOT NULL,
        epoch INTEGER NOT NULL, detected TEXT NOT NULL, arrived INTEGER NOT NULL, decided INTEGER NOT NULL,
        shard TEXT NOT NULL, sequence TEXT NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS isthmus_trail (key TEXT PRIMARY KEY, place INTEGER NOT NULL) WITHOUT ROWID",
    f"INSERT OR IGNORE INTO isthmus_meta (name, value) VALUES ('schema_version', '{SCHEMA_VERSION}')",  # noqa: S608 - a number
)

OWNED_BY = "INSERT OR IGNORE INTO isthmus_meta (name, value) VALUES ('application', '{application}')"
"""Notes whose tables they are, where nobody has."""

_NAMES = (
    *("meta", "guard", "ledger", "settled", "parked", "outbox", "audit", "held", "gate", "fence", "history", "trail"),
)
TABLES = tuple(f"isthmus_{name}" for name in _NAMES)
