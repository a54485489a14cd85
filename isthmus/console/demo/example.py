"""The example that the demo plays. Nothing else in the program knows where it lies."""

from isthmus_examples.flights.front_office import make_tables
from isthmus_examples.flights.oracle.expect import Expectation
from isthmus_examples.flights.oracle.judge import Verdict, judge
from isthmus_examples.flights.oracle.packaged import expect_days

__all__ = ["PIPELINE", "SIMULATE", "SOURCE", "Expectation", "Verdict", "expect_days", "judge", "make_tables"]

SIMULATE = "isthmus_examples.flights.simulate"
"""The module that plays the back office."""
PIPELINE = "isthmus_examples.flights.pipeline:flights"
SOURCE = "flights"
"""The source's name in the settings that the demo writes."""
