"""What commands tell of gates: what is closed first, what is missing, and what each one holds."""

from isthmus.checkpoint.gates import Covers, Gate, Mode
from isthmus.console.gatelist import deed_as_json, gates_as_json, held_as_json
from isthmus.consumer.stores.held import HeldGate

NOW_MS = 1_357_000_000_000
BILLING, BOARDS = Covers(process="billing"), Covers(process="boards")
CLOSED = Gate(BILLING, closed=True, who="ada", reason="books", since_ms=NOW_MS - 1000, until_ms=NOW_MS + 1, revision=3)
OPEN = Gate(Covers(), closed=False, since_ms=NOW_MS - 2000, revision=2)


def test_what_is_closed_comes_first_and_says_since_when_why_and_what_it_holds() -> None:
    held = [HeldGate("process=billing", 2, 5, NOW_MS - 500), HeldGate("behind", 1, 9, NOW_MS)]
    first, second = gates_as_json([OPEN, CLOSED], [], held, NOW_MS)
    assert first == {
        "gate": "process=billing",
        "covers": {"process": "billing"},
        "state": "closed",
        "mode": "hold",
        "since": "2013-01-01T00:26:39.000Z",
        "until": "2013-01-01T00:26:40.001Z",
        "who": "ada",
        "reason": "books",
        "held_keys": 2,
        "held_changes": 5,
    }
    assert (second["gate"], second["state"], second["held_changes"]) == ("everything", "open", 0)


def test_a_gate_whose_moment_has_come_is_open() -> None:
    (row,) = gates_as_json([CLOSED], [], [], NOW_MS + 1)
    assert row["state"] == "open"


def test_a_gate_that_must_be_there_and_is_not_is_unknown() -> None:
    found = gates_as_json([CLOSED], [BILLING, BOARDS], None, NOW_MS)
    assert [(row["gate"], row["state"], row["since"], row["held_keys"]) for row in found] == [
        ("process=billing", "closed", "2013-01-01T00:26:39.000Z", None),
        ("process=boards", "unknown", None, None),
    ]


def test_the_history_says_who_did_what_when_and_why() -> None:
    waiting = Gate(Covers(), closed=True, mode=Mode.WAIT, who="ada", reason="moving", since_ms=NOW_MS, revision=1)
    assert deed_as_json(waiting) == {
        "at": "2013-01-01T00:26:40.000Z",
        "gate": "everything",
        "did": "closed",
        "mode": "wait",
        "who": "ada",
        "reason": "moving",
        "until": None,
    }
    assert deed_as_json(OPEN)["did"] == "opened"


def test_what_is_held_is_told_by_gate() -> None:
    assert held_as_json([HeldGate("behind", 1, 9, NOW_MS)]) == [
        {"gate": "behind", "keys": 1, "changes": 9, "since": "2013-01-01T00:26:40.000Z"}
    ]
