"""The rows with the real daemon, in short: one history for all of them; and what else the daemon may work with."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.fakes import kcl_sample
from tests.faults import kcl_baseline
from tests.faults.kcl_aws import Aws, aws, unavailable
from tests.faults.kcl_plain import PlainDaemon, make_leases
from tests.faults.kcl_short import TURNS, everything
from tests.faults.kcl_strikes import kill, must, seconds_until_gone
from tests.faults.kcl_world import history
from tests.faults.row import Result, wrong_with
from tests.faults.table import BY_ID
from tests.simulation.ground import quiet


@pytest.fixture(scope="module")
def world() -> Iterator[Aws]:
    if why := unavailable():
        pytest.skip(why)
    with aws() as made:
        yield made


@pytest.fixture(scope="module")
def results(world: Aws) -> dict[str, Result]:
    with quiet():
        return everything(world)


@pytest.mark.parametrize("name", TURNS)
def test_a_row_with_the_real_daemon_keeps_every_promise_and_its_fault_strikes(
    name: str, results: dict[str, Result]
) -> None:
    way, count = TURNS[name]
    assert wrong_with(results[name], way.unit, count) == [], BY_ID[name].fault


def test_the_librarys_own_sample_application_fails_the_oracle_that_ours_passes(world: Aws) -> None:
    if why := kcl_sample.unavailable():
        pytest.skip(why)
    with quiet():
        found = kcl_baseline.tried(world)

    assert found.broken.startswith(("I1", "I2", "I3", "I4"))
    assert found.ours == ()


def test_our_child_keeps_every_promise_under_a_daemon_that_nobody_of_ours_looks_after(world: Aws) -> None:
    result = Result()
    with quiet(), ExitStack() as stack:
        made = stack.enter_context(history(world, 3, shards=2, rate=20.0))
        make_leases(made)

        def begun(number: int) -> PlainDaemon:
            # A dead leader's lock holds the next daemon up for two minutes, and is not what is looked at here.
            if (lock := made.leases.leader()) is not None:
                made.leases.remove(lock)
            daemon = PlainDaemon(made, number)
            stack.callback(daemon.end)
            effects = len(made.office.effects())
            must(lambda: len(made.office.effects()) > effects + 20, made, f"it decides\n{daemon.text}")
            return daemon

        first = begun(1)
        kill(first.children()[0])
        must(lambda: first.code() is not None, made, "it ends with its child")
        assert first.code() == 1

        second = begun(2)
        children = second.children()
        kill(second.pid)
        assert seconds_until_gone(children) is not None

        begun(3)
        made.settled(result)
        made.judge(result)
    assert result.violations == []
