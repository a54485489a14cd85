"""The rows of the matrix about what was parked, what waits for it, and gates."""

from typing import Final

from tests.faults import away, gated, gates_real, kept, kept_real, letters, lot_real, redriven
from tests.faults.kcl_gates import ENDED_PAUSED, LONG_PAUSES
from tests.faults.kcl_rows import part as kcl
from tests.faults.parts import P, S, U
from tests.faults.row import Part, Row

_QUEUE: Final = "the matrix's S: real decider, store, outbox and sender on virtual time, a queue in memory"

LOT_ROWS: Final = (
    Row(
        "F48",
        "DLQ down, denied, partly failing",
        "2,000, checkpoint never passes an uncommitted outbox row; consumption goes on; every copy arrives",
        (
            Part(U, "histories", 2_000, 20, letters.queue_in_trouble, _QUEUE),
            Part(
                P, "faults", 60, 3, lot_real.queue_in_trouble, "our fault proxy before SQS; the matrix's number is U's"
            ),
        ),
    ),
    Row(
        "F49",
        "crash between DLQ copy and checkpoint",
        "200, 0",
        (
            Part(U, "crashes", 200, 30, letters.between_copy_and_checkpoint, _QUEUE),
            Part(P, "lives", 60, 5, lot_real.killed_between, "killed (-9) at 5 places; the matrix's number is U's"),
        ),
    ),
    Row(
        "F50",
        "poison of any size and bytes",
        "byte-equal up to 10 MiB",
        (
            Part(U, "payloads", 2_000, 36, kept.any_payload, "the matrix names no number"),
            Part(
                P, "payloads", 200, 7, kept_real.any_payload, "SQS's and S3's own interfaces, as the emulator has them"
            ),
        ),
    ),
    Row(
        "F51",
        "the store is away for half an hour",
        "0 dead letters of 100,000",
        (
            Part(U, "records", 100_000, 2_000, away.half_an_hour, "ten times half an hour of virtual time"),
            Part(P, "changes", 100_000, 2_000, away.an_hour, "real processes, a real hour; in short a minute"),
        ),
    ),
    Row(
        "F52",
        "redrive: stale, twice, with live traffic, killed half-way",
        "5,000 + 50, 0",
        (
            Part(U, "histories", 5_000, 40, redriven.redrives, "the matrix's S: on the real store, on virtual time"),
            Part(P, "redrives", 50, 2, lot_real.redrives),
        ),
    ),
    Row(
        "F53",
        "dead letters older than the queue keeps them",
        "alarm at half, nothing lost",
        (
            Part(
                U,
                "histories",
                1_000,
                20,
                kept.forgotten_by_the_queue,
                "the matrix's S, and no number in it: real store and redrives, weeks of virtual time; the alarm by the "
                "expression of infra/prometheus, each day",
            ),
        ),
    ),
    Row(
        "F54",
        "poison again on redrive",
        "stays parked, no loop",
        (
            Part(
                P,
                "rounds",
                20,
                1,
                lot_real.poison_again,
                "out of the lot and out of the queue; the matrix has no number",
            ),
        ),
    ),
    Row(
        "F55",
        "gate flips in the middle of a batch",
        "1,000, 0 effects while closed",
        (
            Part(U, "histories", 1_000, 40, gated.flips, "the matrix's S: real gates and store, on virtual time"),
            Part(P, "flips", 40, 2, gates_real.flips, "half of them strict; the matrix's number is U's"),
        ),
    ),
    Row(
        "F56",
        "gate missing, unreadable, unreachable",
        "closed, 12 of 12",
        (
            Part(U, "cases", None, 0, gated.unknown, "3 troubles at 4 moments"),
            Part(P, "cases", 12, 1, gates_real.unknown, "3 troubles at 2 moments, strict or not"),
        ),
    ),
    Row(
        "F57",
        "a pause longer than timeouts",
        "no halt, no lease lost",
        (
            Part(S, "histories", 500, 10, gated.paused, "the local runtime; the matrix names no number"),
            kcl(LONG_PAUSES, 20, 1, "one in five for a minute; failover is 3 s"),
        ),
    ),
    Row("F58", "SIGTERM while paused", "50, 0", (kcl(ENDED_PAUSED, 50, 1),)),
)
