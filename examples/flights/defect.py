"""The flights' pipeline with a defect in its translator: what `isthmus demo --poison` mends.

One row in a hundred makes it fail, as a division by something that is hardly ever zero would.
"""

from dataclasses import replace
from typing import Final

from isthmus.errors import Poison
from isthmus.pipeline import Row
from isthmus.references import References

from . import pipeline
from .pipeline import Flight

REASON: Final = "defect"
_ONE_IN: Final = 100


def translate(row: Row, references: References) -> list[Flight]:
    """Give the flight of a row, but for one row in a hundred. Raises `Poison` for that, and as the right one does."""
    if row["UPDSEQ"] % _ONE_IN == 0:
        raise Poison(REASON, "The translator has a defect.")
    return pipeline.translate(row, references)


flights: Final = replace(pipeline.flights, translate=translate)
flights_postgres: Final = replace(pipeline.flights_postgres, translate=translate)
flights_dynamodb: Final = replace(pipeline.flights_dynamodb, translate=translate)
