"""What is common to statements that are sent before those before them were answered."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import generators

from isthmus.consumer.stores.postgres.connection import Connection

_MOST_TELLS = 100
"""More often than a server ever says of a pipeline that it was aborted: what is lost says so for ever."""


def drain(connection: Connection, pipeline: psycopg.Pipeline) -> None:
    """Take in that what came after a refusal was not run: the driver tells so of each part of it that it reads.

    Else it would log what it still reads when the pipeline ends, perhaps with a row's values.
    """
    for _ in range(_MOST_TELLS):
        with suppress(psycopg.Error):
            answered(connection, pipeline)
            return


@contextmanager
def pipelined(connection: Connection) -> Iterator[psycopg.Pipeline]:
    """Run statements in a pipeline, and see that all of them are on their way before it waits for answers.

    The driver stops sending when a part did not fit into the socket and no statement comes after it, and then waits
    for answers to what the server has never seen (psycopg 3.3, `pipeline_communicate`): a batch of a MiB hung for
    ever.
    """
    with connection.pipeline() as pipeline:
        try:
            yield pipeline
        finally:
            send_all(connection)


def answered(connection: Connection, pipeline: psycopg.Pipeline) -> None:
    """Wait until everything is answered. Raises the driver's error for what was refused first."""
    send_all(connection)
    pipeline.sync()


def send_all(connection: Connection) -> None:
    """Send what still waits to be sent. A connection that is lost is for the next answer to tell."""
    with suppress(psycopg.Error):
        connection.wait(generators.send(connection.pgconn))
