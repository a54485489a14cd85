"""Makes the two databases of the example in the current folder: `python databases.py`."""

import sqlite3
from contextlib import closing
from pathlib import Path

BACK_OFFICE = """
    CREATE TABLE COUNTRY (CODE TEXT PRIMARY KEY, NAME TEXT NOT NULL);
    INSERT INTO COUNTRY VALUES ('DE', 'Germany'), ('FR', 'France');

    CREATE TABLE CUST (
        CUSTNO INTEGER PRIMARY KEY, NAM1 TEXT, CTRY TEXT, CLS TEXT, STAT TEXT, TYP TEXT, CHGNO INTEGER DEFAULT 0);
    CREATE INDEX CUST_CHGNO ON CUST (CHGNO);

    -- Each change of a row takes the next number inside its own transaction. SQLite has one writer at a time, so
    -- the numbers are in the order of the commits.
    CREATE TABLE CHANGES (LAST INTEGER NOT NULL);
    INSERT INTO CHANGES VALUES (0);
    CREATE TRIGGER CUST_NEW AFTER INSERT ON CUST BEGIN
        UPDATE CHANGES SET LAST = LAST + 1;
        UPDATE CUST SET CHGNO = (SELECT LAST FROM CHANGES) WHERE CUSTNO = NEW.CUSTNO;
    END;
    CREATE TRIGGER CUST_CHANGED AFTER UPDATE OF NAM1, CTRY, CLS, STAT, TYP ON CUST BEGIN
        UPDATE CHANGES SET LAST = LAST + 1;
        UPDATE CUST SET CHGNO = (SELECT LAST FROM CHANGES) WHERE CUSTNO = NEW.CUSTNO;
    END;

    INSERT INTO CUST (CUSTNO, NAM1, CTRY, CLS, STAT, TYP) VALUES
        (1, 'ADA LOVELACE  ', 'FR', 'A', 'L', 'PRIV'),
        (2, 'EMMY NOETHER', 'DE', 'B', 'L', 'PRIV'),
        (3, 'NOBODY AT ALL', 'DE', 'B', 'L', 'TEST'),
        (4, 'MARIE CURIE', 'PL', 'A', 'L', 'PRIV');
"""

FRONT_OFFICE = """
    CREATE TABLE customer (key TEXT PRIMARY KEY, name TEXT NOT NULL, country TEXT NOT NULL, vip INTEGER NOT NULL);
    CREATE TABLE welcome (customer TEXT NOT NULL);
"""


def make(folder: Path) -> None:
    """Make `back-office.db` and `front-office.db`. Raises `sqlite3.OperationalError` where they are there already."""
    for name, statements in (("back-office.db", BACK_OFFICE), ("front-office.db", FRONT_OFFICE)):
        with closing(sqlite3.connect(folder / name)) as connection, connection:
            connection.executescript(statements)


if __name__ == "__main__":
    make(Path.cwd())
