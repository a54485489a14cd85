"""The example that the demo plays. Nothing else in the program knows where it lies."""

from isthmus_examples.flights.defect import REASON as BROKEN_REASON
from isthmus_examples.flights.front_office import make_tables, make_tables_dynamodb, make_tables_postgres
from isthmus_examples.flights.oracle.expect import Expectation
from isthmus_examples.flights.oracle.fronts import Fronts, dynamodb_front, postgres_front, sqlite_front
from isthmus_examples.flights.oracle.judge import Verdict, effects_between, judge
from isthmus_examples.flights.oracle.packaged import expect_days

__all__ = [
    "BROKEN_PIPELINES",
    "BROKEN_REASON",
    "PIPELINES",
    "SIMULATE",
    "SOURCE",
    "Expectation",
    "Fronts",
    "Verdict",
    "dynamodb_front",
    "effects_between",
    "expect_days",
    "judge",
    "make_tables",
    "make_tables_dynamodb",
    "make_tables_postgres",
    "postgres_front",
    "sqlite_front",
]

SIMULATE = "isthmus_examples.flights.simulate"
"""The module that plays the back office."""
PIPELINES = {
    "sqlite": "isthmus_examples.flights.pipeline:flights",
    "postgres": "isthmus_examples.flights.pipeline:flights_postgres",
    "dynamodb": "isthmus_examples.flights.pipeline:flights_dynamodb",
}
"""By the kind of front office: an effect handler speaks its store's language."""
BROKEN_PIPELINES = {store: path.replace(".pipeline:", ".defect:") for store, path in PIPELINES.items()}
"""The same with a defect in the translator, which parks one row in a hundred for `BROKEN_REASON`."""
SOURCE = "flights"
"""The source's name in the settings that the demo writes."""
