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
    CREATE TABLE thing (key TEXT PRIMARY KEY, version TEXT NOT NULL, size INTEGER CHECK (size >= 0));
    CREATE TABLE effect (place INTEGER PRIMARY KEY AUTOINCREMENT, txn TEXT UNIQUE, key TEXT, version TEXT,
        epoch INTEGER, times INTEGER);
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


@lru_cache(maxsize=1)
def empty_front_office() -> bytes:
    """Give the file of a front office that has decided nothing yet."""
    with folder() as place:
        path = place / "template.db"
        SqliteStore(path, []).prepare()
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(_FRONT_OFFICE)
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
