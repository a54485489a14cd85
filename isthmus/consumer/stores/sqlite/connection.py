"""Connections to the file: how durable, how patient."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from isthmus.consumer.stores.sqlite.errors import translated
from isthmus.errors import Refused

BUSY_SECONDS = 5.0
"""How long a statement waits for another process's transaction before it is tried again with back-off."""

_FULL = 2
"""PRAGMA synchronous (sqlite.org)."""
_CACHE_KIB = 8_192
"""Keys come in no order, so each batch touches pages all over the file. Measured: a tenth faster than with 2 MiB."""
_LOG_PAGES = 4_000
"""16 MiB of write-ahead log before it is copied into the file: pages that change again are copied once. Measured: a
fifth faster with history than with 1,000, the default."""


def writing(path: Path, *, create: bool = False) -> sqlite3.Connection:
    """Open the file for deciding: write-ahead log, every commit on disk. Raises `Refused` where that cannot be had."""
    with translated():
        connection = _open(path, "rwc" if create else "rw")
    try:
        with translated():
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            # FULL: the checkpoint must never be more durable than what it stands for.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            # What a savepoint could undo is kept in memory: it is one batch.
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
            (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
    except BaseException:
        connection.close()
        raise
    if mode != "wal" or synchronous != _FULL:
        connection.close()
        raise Refused(
            f"{path} cannot be kept with a write-ahead log and full synchronisation.",
            hint="Keep the front office on a local disk.",
        )
    return connection


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file for reading only, beside whoever decides. Errors come as ours, in the body too."""
    with translated():
        connection = _open(path, "ro")
        try:
            connection.execute("PRAGMA query_only = ON")
            yield connection
        finally:
            connection.close()


def _open(path: Path, mode: Literal["ro", "rw", "rwc"]) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
