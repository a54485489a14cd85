"""The shard processor before gates: it stands between two batches, and a stop ends that at once."""

import pytest

from isthmus.consumer.gates import Outdated
from isthmus.lifecycle import Stopped
from tests.fakes.gate_world import FakeGates
from tests.fakes.processor_desk import ProcessorDesk, change, record


def test_a_shard_that_stands_goes_on_where_it_stood_and_decides_everything_once() -> None:
    gates = FakeGates()
    desk = ProcessorDesk(batch_changes=1, gates=gates)
    gates.stand(waits=True)
    desk.clock.at(3600.0, lambda: gates.stand(waits=False))
    desk.process(record(1, change(1)), record(2, change(2)))
    assert desk.clock.monotonic() >= 3600.0
    assert [delivered.change.id for delivered in desk.delivered()] == ["k-1", "k-2"]


def test_a_gate_that_closes_inside_of_a_page_lets_the_shard_stand_between_two_records() -> None:
    gates = FakeGates()
    desk = ProcessorDesk(batch_changes=1, gates=gates)
    desk.applier.after = lambda: gates.stand(waits=True)
    desk.clock.at(50.0, desk.stop.request)
    with pytest.raises(Stopped):
        desk.process(record(1, change(1)), record(2, change(2)))
    assert desk.processor.position() == "1"
    assert desk.clock.monotonic() == pytest.approx(50.0, abs=0.2)
    assert [delivered.change.id for delivered in desk.delivered()] == ["k-1"]


def test_what_was_undone_because_the_gates_were_not_read_is_decided_again_and_is_no_outage() -> None:
    gates = FakeGates()
    desk = ProcessorDesk(gates=gates)
    desk.applier.errors = [Outdated(), Outdated()]
    desk.process(record(1, change(1)))
    assert [delivered.change.id for delivered in desk.delivered()] == ["k-1"]
    assert desk.metrics.away.labels("front_office/shard-0")._value.get() == 0
    assert desk.processor.position() == "1"
