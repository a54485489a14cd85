"""Makes the two databases of the example in the current folder: `python databases.py`."""

import sqlite3
from contextlib import closing
from pathlib import Path

BACK_OFFICE = """
    -- Append-only: a row is never changed and never goes, so that reading it by its number shows every single posting.
    -- SQLite has one writer at a time, so the numbers are in the order of the commits.
    CREATE TABLE POSTING (
        PSTNO INTEGER PRIMARY KEY AUTOINCREMENT,
        ACCT INTEGER NOT NULL,
        AMT INTEGER NOT NULL CHECK (AMT > 0));
    CREATE TRIGGER POSTING_STAYS BEFORE DELETE ON POSTING BEGIN SELECT RAISE(ABORT, 'POSTING is append-only'); END;
    CREATE TRIGGER POSTING_IS_FINAL BEFORE UPDATE ON POSTING BEGIN SELECT RAISE(ABORT, 'POSTING is append-only'); END;

    INSERT INTO POSTING (ACCT, AMT) VALUES (1001, 20), (1002, 20), (1001, 20);
"""

FRONT_OFFICE = """
    CREATE TABLE account (key TEXT PRIMARY KEY, balance INTEGER NOT NULL);
    INSERT INTO account VALUES ('account/1001', 10000), ('account/1002', 10000), ('account/1003', 10000);
"""


def make(folder: Path) -> None:
    """Make `back-office.db` and `front-office.db`. Raises `sqlite3.OperationalError` where they are there already."""
    for name, statements in (("back-office.db", BACK_OFFICE), ("front-office.db", FRONT_OFFICE)):
        with closing(sqlite3.connect(folder / name)) as connection, connection:
            connection.executescript(statements)


if __name__ == "__main__":
    make(Path.cwd())
