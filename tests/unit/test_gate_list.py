"""What commands tell of gates: what is closed first, what is missing, and what each one holds."""

from isthmus.checkpoint.gates import Covers, Gate, Mode
from isthmus.console.gatelist import deed_as_json, gates_as_json, held_as_json, named, next_of, what_probe_says
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
        "kind": "hand",
        "covers": {"process": "billing"},
        "state": "closed",
        "mode": "hold",
        "since": "2013-01-01T00:26:39.000Z",
        "until": "2013-01-01T00:26:40.001Z",
        "changes": None,
        "probe": None,
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


def test_a_declared_gate_is_told_of_by_its_name_with_what_it_covers_and_when_it_changes() -> None:
    gate = Gate(BILLING, closed=False, who="finance", reason="weekend", since_ms=NOW_MS - 5, declared="books")
    told = {"books": {"kind": "window", "changes": "2013-01-04T17:00:00.000Z"}}
    needed, row = gates_as_json([gate], [BILLING], [HeldGate("books", 1, 4, 1)], NOW_MS, told)
    assert (named(row), next_of(row), what_probe_says(row)) == (
        "books (process=billing)",
        "closes 2013-01-04T17:00:00.000Z",
        "",
    )
    assert (row["state"], row["held_changes"], row["since"]) == ("open", 4, "2013-01-01T00:26:39.995Z")
    # A window over the same is not the item that people must have made.
    assert (needed["gate"], needed["state"]) == ("process=billing", "unknown")


def test_a_probe_is_told_of_with_its_last_answer_and_why_there_is_none_since() -> None:
    gate = Gate(BILLING, closed=True, reason="?", declared="audit", unknown=True)
    probe = {"asked": "T1", "said": "it is open", "trouble": "no such table", "failing_since": "T2", "by": "me"}
    (row,) = gates_as_json([gate], [], None, NOW_MS, {"audit": {"kind": "probe", "probe": probe}})
    assert (row["state"], row["since"]) == ("unknown", None)
    assert what_probe_says(row) == "T1: it is open; no answer since T2: no such table"
    row["probe"] = {"asked": None, "said": None, "trouble": "nobody has asked yet", "failing_since": None, "by": None}
    assert what_probe_says(row) == "no answer: nobody has asked yet"


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
