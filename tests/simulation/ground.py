"""Where a history takes place: an empty front office, a folder for it, and silence."""

import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path

import structlog

from isthmus.consumer.stores.sqlite.store import SqliteStore

_FRONT_OFFICE = """
    CREATE TABLE thing (key TEXT PRIMARY KEY, version TEXT NOT NULL, size INTEGER CHECK (size >= 0), fate TEXT);
    CREATE TABLE effect (place INTEGER PRIMARY KEY AUTOINCREMENT, txn TEXT UNIQUE, key TEXT, version TEXT,
        size INTEGER, fate TEXT, epoch INTEGER, times INTEGER);
    CREATE TABLE fell (key TEXT, before TEXT, after TEXT);
    CREATE TRIGGER thing_fell AFTER UPDATE ON thing WHEN new.version < old.version
        BEGIN INSERT INTO fell VALUES (new.key, old.version, new.version); END;
    CREATE TRIGGER guard_fell AFTER UPDATE ON isthmus_guard WHEN new.version < old.version
        BEGIN INSERT INTO fell VALUES (new.key, old.version, new.version); END;
    CREATE TRIGGER thing_rose AFTER INSERT ON thing
        WHEN new.version < (SELECT version FROM isthmus_guard WHERE key = new.key)
        BEGIN INSERT INTO fell VALUES (new.key, 'deleted', new.version); END;
"""
"""The user's tables, with triggers that tell of a version that falls, even for a moment."""
_TELL = """INSERT INTO effect (txn, key, version, size, fate, times)
    VALUES (new.key || '@' || new.version, new.key, new.version, new.size, new.fate, 1)
    ON CONFLICT (txn) DO UPDATE SET times = times + 1;"""
_UNHANDLED = f"""
    CREATE TRIGGER thing_made AFTER INSERT ON thing BEGIN {_TELL} END;
    CREATE TRIGGER thing_changed AFTER UPDATE ON thing
        WHEN substr(new.version, 1, 8) = substr(old.version, 1, 8) OR (new.size, new.fate) IS NOT (old.size, old.fate)
        BEGIN {_TELL} END;
"""
"""Where no handler counts effects, the table itself does: every state that is written is one.

Not what was read again under another generation, and found as it was.
"""


@lru_cache(maxsize=2)
def empty_front_office(*, handled: bool) -> bytes:
    """Give the file of a front office that has decided nothing yet. `handled`: a handler counts the effects."""
    with folder() as place:
        path = place / "template.db"
        SqliteStore(path, []).prepare()
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(_FRONT_OFFICE if handled else _FRONT_OFFICE + _UNHANDLED)
        return path.read_bytes()


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder in memory where there is one: to wait for a disk tells nothing here."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    made = Path(tempfile.mkdtemp(prefix="isthmus-sim-", dir=memory if memory.is_dir() else None))
    try:
        yield made
    finally:
        shutil.rmtree(made)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the house's log out of it."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)
