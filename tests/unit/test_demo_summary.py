"""What the demo says at its end."""

import io
from typing import Any

import pytest
from rich.console import Console

from isthmus.console.demo.summary import show

LOCAL: dict[str, Any] = {
    "ok": True,
    **dict.fromkeys(
        ("modifications", "applied", "superseded", "parked_changes", "parked_keys", "filtered", "published"), 1
    ),
    **dict.fromkeys(("records", "entities", "mismatches", "duplicate", "stale", "fenced"), 0),
    "freshness_ms": {"p50": 1.0, "p99": 2.0},
    "changes_per_s": 1,
    "runtime": "local",
    "shards": 4,
    "reshard": [],
    "closed": 0,
    "drained": 0,
    "restarts": {"producer": 0, "consumer": 0},
    "faults": {},
    "outage": None,
    "gate": None,
    "poison": None,
    "peak_rss_mb": {"producer": 101.0, "consumer": 94.0},
    "elapsed_s": 5.0,
}
KCL = LOCAL | {
    "runtime": "kcl",
    "shards": 7,
    "reshard": [2, 4, 3],
    "closed": 4,
    "drained": 4,
    "duplicate": 5,
    "restarts": {"producer": 2, "worker-1": 1, "worker-2": 0},
    "faults": {"put_500": 3, "child_killed": 1},
    "peak_rss_mb": {"producer": 101.0, "worker": 90.0, "daemon": 240.0, "child": 66.0},
}


def said(summary: dict[str, Any]) -> str:
    out = io.StringIO()
    show(summary, [], Console(file=out, width=400))
    return " ".join(out.getvalue().split())


def test_under_the_local_runtime_nothing_is_said_of_a_reshard() -> None:
    text = said(LOCAL)
    assert "through 4 shards" in text
    assert "101 MB of memory for the producer at most, 94 MB for the consumer" in text
    assert "shards while it lived" not in text
    assert "reshard" not in text


def test_under_the_kcl_the_reshard_is_told_what_was_drained_and_what_the_books_rest_on() -> None:
    text = said(KCL)
    assert "through 7 shards" in text
    assert "2 > 4 > 3 shards while it lived, shared by two workers" in text
    assert "of the 4 that were closed, 4 are read to their end, by their leases" in text
    assert "books balanced by the databases: journal, history, parking lot" in text
    assert "5 duplicate deliveries at least were recognised" in text
    assert "90 MB for a worker, 240 MB for its daemon, 66 MB for a shard's process" in text
    assert "4 faults were put in, of 2 kinds: put_500 3, child_killed 1" in text
    assert "3 times a process was killed and started again: producer 2, worker-1 1, worker-2 0" in text


@pytest.mark.parametrize("ok", [True, False])
def test_the_first_line_says_how_it_ended(*, ok: bool) -> None:
    assert ("Everything arrived" in said(KCL | {"ok": ok})) is ok


def test_what_went_wrong_and_was_mended_has_its_own_lines() -> None:
    text = said(
        LOCAL
        | {
            "changes_per_s": None,
            "outage": {"seconds": 20.0},
            "gate": {"closed_ms": 1000, "opened_ms": 9000, "held_changes": 1234, "effects": 0},
            "poison": {"parked_changes": 61, "redriven": {"stale": 2, "applied": 59}, "left": 3},
        }
    )
    assert "20 s the front office's store was away" in text
    assert "1,234 changes were held by a gate" in text
    assert "0 took effect in the 8 s in which it was closed" in text
    assert "61 changes were parked by a translator with a defect" in text
    assert "59 applied, 2 stale once it was mended" in text
    assert "3 wait on, behind others of flights to unknown airports" in text
    assert "the waits of outage, gate, poison among them" in text
    assert "in the first load" not in text
