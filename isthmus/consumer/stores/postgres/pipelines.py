"""What is common to statements that are sent before those before them were answered."""

from contextlib import suppress

import psycopg

_MOST_TELLS = 100
"""More often than a server ever says of a pipeline that it was aborted: what is lost says so for ever."""


def drain(pipeline: psycopg.Pipeline) -> None:
    """Take in that what came after a refusal was not run: the driver tells so of each part of it that it reads.

    Else it would log what it still reads when the pipeline ends, perhaps with a row's values.
    """
    for _ in range(_MOST_TELLS):
        with suppress(psycopg.Error):
            pipeline.sync()
            return
