"""The held line of a key in DynamoDB: its order, its counts, and how it lies in the table."""

from hypothesis import given
from hypothesis import strategies as st

from isthmus.consumer.stores.dynamodb.heldlines import (
    HeldLine,
    by_gate,
    held_item,
    held_key,
    held_of,
    line_of,
    place_of,
    with_held,
)
from isthmus.consumer.stores.held import HeldGate
from isthmus.consumer.stores.port import Keeping
from tests.fakes.store_world import delivered, event, upsert

NOW = 1_356_998_400_000
_MAKE = st.sampled_from([upsert, event])
_GATES = st.sampled_from(["", "process=boards", "behind"])


@given(st.lists(st.tuples(_MAKE, _GATES, st.integers(0, 5)), min_size=1, max_size=12))
def test_what_comes_in_goes_out_in_its_order_and_every_count_is_right_in_between(came: list[object]) -> None:
    line: HeldLine | None = None
    rows = []
    now = NOW
    for number, (make, gate, later) in enumerate(came):  # type: ignore[misc]
        now += later
        keeping = Keeping(delivered(make(number + 1)), gate, b"{}")
        marks = make is upsert
        line = with_held(line, keeping, now, marks=marks)
        rows.append(held_item(keeping, {"event": {"B": b"{}"}}, now, line.turn, marks=marks))
    # As DynamoDB gives them.
    assert sorted(rows, key=lambda row: row["sk"]["S"]) == rows
    while rows:
        assert line is not None
        assert line_of(line.item()) == line
        said = [held_of(row, b"{}") for row in rows]
        assert (line.rows, line.first) == (len(rows), place_of(rows[0]))
        assert line.head() == (said[0].key, said[0].source, said[0].entity)
        assert line.marks("thing") == any(each.entity == "thing" for each in said)
        assert not line.marks("posting")
        gates = {each.gate for each in said}
        assert {each.gate: each.changes for each in by_gate([line])} == {
            gate: sum(each.gate == gate for each in said) for gate in gates
        }
        first = min(each.held_ms for each in said)
        # Never too late, and exact for the gate of the first one.
        assert all(
            each.since_ms <= min(row.held_ms for row in said if row.gate == each.gate) for each in by_gate([line])
        )
        assert next(each.since_ms for each in by_gate([line]) if each.gate == said[0].gate) == first
        line = line.without_first(rows.pop(0), rows[0] if rows else None)
    assert line is None


@given(st.integers(0, 10**16), st.integers(0, 10**16))
def test_places_are_ordered_as_texts_as_they_are_as_numbers(one: int, other: int) -> None:
    texts = held_key("k", one)["sk"]["S"], held_key("k", other)["sk"]["S"]
    assert (texts[0] < texts[1]) == (one < other)


def test_gates_are_counted_over_all_keys_the_most_changes_first() -> None:
    lines = []
    for key, gates in (("a", ["x", "y"]), ("b", ["x"])):
        line: HeldLine | None = None
        for number, gate in enumerate(gates):
            line = with_held(line, Keeping(delivered(event(number, key)), gate, b""), NOW + number, marks=False)
        assert line is not None
        lines.append(line)
    assert by_gate(lines) == [HeldGate("x", 2, 2, NOW), HeldGate("y", 1, 1, NOW + 1)]
