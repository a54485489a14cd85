"""The front office's own tables: Isthmus writes `flight`, the effect handler writes `airport_board`."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

TABLES: Final = (
    """
    CREATE TABLE IF NOT EXISTS flight (
        key                 TEXT    NOT NULL PRIMARY KEY,
        carrier_code        TEXT    NOT NULL,
        carrier_name        TEXT    NOT NULL,
        flight_number       INTEGER NOT NULL,
        tail_number         TEXT,
        origin              TEXT    NOT NULL,
        destination         TEXT    NOT NULL,
        status              TEXT    NOT NULL
            CHECK (status IN ('scheduled', 'departed', 'arrived', 'diverted', 'cancelled')),
        scheduled_departure TEXT    NOT NULL,
        actual_departure    TEXT,
        scheduled_arrival   TEXT    NOT NULL,
        actual_arrival      TEXT,
        version             TEXT    NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS airport_board (
        airport       TEXT    NOT NULL PRIMARY KEY,
        departures    INTEGER NOT NULL DEFAULT 0,
        arrivals      INTEGER NOT NULL DEFAULT 0,
        cancellations INTEGER NOT NULL DEFAULT 0,
        diversions    INTEGER NOT NULL DEFAULT 0
    )
    """,
)


def make_tables(path: Path) -> None:
    """Make the tables in a SQLite database, which is made where it is not there. Safe to repeat."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in TABLES:
            connection.execute(statement)


def make_tables_postgres(url: str) -> None:
    """Make the tables in a PostgreSQL database. Safe to repeat."""
    import psycopg  # noqa: PLC0415 - an extra, which other front offices do without

    with psycopg.connect(url) as connection:
        for statement in TABLES:
            connection.execute(statement)


def make_tables_dynamodb(client: Any) -> None:
    """Make the tables in DynamoDB; `client` is boto3's. Safe to repeat."""
    for table, key in (("flight", "key"), ("airport_board", "airport")):
        with suppress(client.exceptions.ResourceInUseException):
            client.create_table(
                TableName=table,
                KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        client.get_waiter("table_exists").wait(TableName=table)
