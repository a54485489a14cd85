"""Suites that run on LocalStack alone: `make integration`. They are the contract suites, with another `emulator`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.shop import SECRET, Shop
from tests.localstack.server import LocalStack

HERE = Path(__file__).parent
EXHAUSTIVE = {
    "test_a_batch_in_any_cut_ends_as_one_by_one",
    "test_a_crash_before_or_after_any_call_and_then_all_of_it_again_end_as_if_there_was_none",
    "test_a_crash_before_or_after_any_call_loses_and_doubles_no_deduction",
    "test_a_thousand_redeliveries_deduct_nothing_twice",
    "test_an_answer_that_was_lost_is_found_when_another_has_decided_more_meanwhile",
    "test_an_outage_before_or_after_any_call_parks_nothing_and_is_mended_by_the_next_attempt",
    "test_any_life_of_the_store_is_as_the_model_says",
    "test_every_order_of_five_changes_ends_as_the_model_says",
    "test_every_sequence_of_up_to_five_deliveries_ends_as_the_model_says",
    "test_two_workers_that_crash_and_begin_again_deduct_each_posting_once",
    "test_whatever_comes_the_store_agrees_with_the_model",
    "test_whoever_is_killed_nothing_is_left_over_and_everything_goes_on",
}
"""Hundreds to thousands of requests each, of which LocalStack answers about a hundred a second; the last starts the
daemon of the Kinesis Client Library five times. `make test` runs them on DynamoDB Local and kinesis-mock, which are
LocalStack's DynamoDB and Kinesis too; here they run with --exhaustive."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take what `python -m tests.localstack` gives."""
    group = parser.getgroup("localstack")
    group.addoption("--localstack", metavar="URL", help="where a LocalStack runs on this machine")
    group.addoption("--exhaustive", action="store_true", help="with the tests that ask LocalStack thousands of times")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave these files out of a run that has no LocalStack."""
    return True if collection_path.suffix == ".py" and not config.getoption("localstack", None) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the exhaustive ones out, and let pytest say how many they are."""
    # Asked for in any case: a run of all tests loads this file too, with the items of all folders.
    if config.getoption("localstack", None) is None or config.getoption("exhaustive"):
        return
    left_out = [item for item in items if getattr(item, "originalname", None) in EXHAUSTIVE]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def emulator(pytestconfig: pytest.Config) -> Iterator[LocalStack]:
    """Give the LocalStack in the place of the usual emulator: all that is built on that one is on LocalStack then."""
    running = LocalStack(pytestconfig.getoption("localstack"))
    yield running
    running.close()


@pytest.fixture(autouse=True)
def _nothing_is_left(emulator: LocalStack) -> Iterator[None]:
    """Remove what a test made, and what its shops' processes made, but not what the tests of a file share."""
    before = len(emulator.made)
    yield
    for made in emulator.made[before:]:
        emulator.remove(made)
    del emulator.made[before:]


@pytest.fixture
def make_shop(emulator: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Shop]]:
    """Give a maker of shops. Ends their processes, and removes what these made."""
    monkeypatch.setenv("SHOP_SECRET", SECRET)
    shops: list[Shop] = []

    def make() -> Shop:
        shops.append(Shop(tmp_path / f"shop-{len(shops)}", emulator.port))
        return shops[-1]

    yield make
    for shop in shops:
        shop.close()
    for shop in shops:
        for made in emulator.named_like(shop.name):
            emulator.remove(made)
