"""The example that the demo plays. Nothing else in the program knows where it lies."""

from examples.flights.front_office import make_tables
from examples.flights.oracle.expect import Expectation
from examples.flights.oracle.judge import Verdict, judge
from examples.flights.oracle.packaged import expect_days

__all__ = ["PIPELINE", "SIMULATE", "SOURCE", "Expectation", "Verdict", "expect_days", "judge", "make_tables"]

SIMULATE = "examples.flights.simulate"
"""The module that plays the back office."""
PIPELINE = "examples.flights.pipeline:flights"
SOURCE = "flights"
"""The source's name in the settings that the demo writes."""
