"""A real PostgreSQL for adapter tests: a server from a wheel, on a socket of its own, or one given by its address."""

import itertools
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import psycopg

from isthmus.console.embedded_postgres import EmbeddedPostgres

GIVEN = "ISTHMUS_TEST_POSTGRES"
"""The environment variable with the address of a server whose user may make databases."""
_numbers = itertools.count()


class PostgresServer:
    """One server for a test session. Each office gets a database of its own."""

    def __init__(self) -> None:
        self.server: EmbeddedPostgres | None = None
        self._folder: Path | None = None
        given = os.environ.get(GIVEN)
        if given is None:
            # Not in a folder of pytest's, which another run makes unreachable for whom the server runs as.
            self._folder = Path(tempfile.mkdtemp(prefix="isthmus-test-pg-"))
            self._folder.chmod(0o755)
            self.server = EmbeddedPostgres(self._folder / "data", self._folder / "postgresql.log")
            given = self.server.url
        self.url = given

    def database(self) -> str:
        """Make a database and give its address."""
        name = f"isthmus_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0")
        return psycopg.conninfo.make_conninfo(self.url, dbname=name)

    def run(self, statement: str) -> list[Any]:
        """Run a statement as the server's owner."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]  # a test's own words
            return cursor.fetchall() if cursor.description else []

    def end(self) -> None:
        """Stop the server, if it is ours."""
        if self.server is not None:
            self.server.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
