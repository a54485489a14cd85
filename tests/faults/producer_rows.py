"""The rows of the matrix that strike the producer."""

from typing import Final

from isthmus.console.proxy.faults import STRIKES, Fault, Traffic
from tests.faults import crashes, processes, reading, running, values
from tests.faults.histories import places, rows_in_bursts, under
from tests.faults.parts import KILLS, STORE_CALLS, P, U, in_histories
from tests.faults.processes import PRODUCER_CALLS
from tests.faults.row import Part, Row
from tests.simulation.plan import LEASE_CALLS, Kind

_WATERMARKS: Final = (*LEASE_CALLS, "leases.advance")

PRODUCER_ROWS: Final = (
    Row(
        "F02",
        "many rows of one timestamp over page edges and restarts",
        "1,000 page sizes, 0",
        (Part(U, "page sizes", 1_000, 30, reading.many_rows_of_one_moment),),
        "P: the example's cursor is unique per change, so a running pipeline never meets the fault.",
    ),
    Row(
        "F06",
        "clock jumps, DST, naive timestamps",
        "2,000, 0",
        (
            in_histories(2_000, under(places([Kind.CLOCK_JUMPED]))),
            Part(U, "times", 2_000, 40, values.clocks),
        ),
    ),
    Row(
        "F08",
        "producer killed (-9) at each of its steps",
        "12 points x 40, 0",
        (
            Part(
                P,
                "lives",
                16 * 40,
                2,
                processes.struck_at("producer", PRODUCER_CALLS, "SIGKILL"),
                "before and after each call of a port: 16 points x 40",
            ),
        ),
    ),
    Row(
        "F09",
        "two producers; a paused one wakes and publishes",
        "5,000 + 50, 0",
        (
            in_histories(
                5_000,
                under(
                    [
                        *places([Kind.DOUBLED, Kind.STOPPED, Kind.SUSPENDED], role="producer"),
                        *places([Kind.LATE], role="producer", calls=["sink.put", "leases.advance"]),
                    ]
                ),
            ),
            Part(P, "stops", 50, 1, processes.stopped("producer", PRODUCER_CALLS)),
        ),
        "A→B→A of a loose source: sources here have order commit.",
    ),
    Row(
        "F10",
        "watermark store down, throttled, condition failed",
        "1,000, 0",
        (
            in_histories(
                1_000,
                under(
                    [
                        *places([Kind.FAILED, Kind.ANSWER_LOST, Kind.LATE], role="producer", calls=_WATERMARKS),
                        *places([Kind.DOUBLED], calls=["leases.advance"]),
                    ]
                ),
            ),
            Part(
                P,
                "faults",
                120,
                6,
                processes.between([*STRIKES[Traffic.WATERMARK], *STRIKES[Traffic.OWNERSHIP]]),
                "the matrix names one number, kept by S",
            ),
        ),
    ),
    Row(
        "F12",
        "one source transaction, several changes, over a batch edge",
        "exhaustive ≤ 6",
        (
            Part(U, "cases", None, 0, crashes.several_changes_over_an_edge, "all cuts, batches and commits, ≤ 6"),
            in_histories(500, under(places(KILLS, calls=["sink.put", "leases.advance", *STORE_CALLS]), rows_in_bursts)),
        ),
    ),
    Row(
        "F13",
        "PutRecords fails in part",
        "10,000 + 200, 0 inversions",
        (
            in_histories(10_000, under(places([Kind.PARTLY_REFUSED, Kind.THROTTLED]), rows_in_bursts)),
            Part(P, "faults", 200, 4, processes.between([Fault.PUT_PARTIAL, Fault.PUT_THROTTLED])),
        ),
    ),
    Row(
        "F14",
        "accepted, then connection reset",
        "5,000 + 100, 0",
        (
            in_histories(5_000, under(places([Kind.ANSWER_LOST, Kind.LATE], calls=["sink.put"]))),
            Part(P, "faults", 100, 2, processes.between([Fault.PUT_ACCEPTED_THEN_RESET, Fault.PUT_DELIVERED_LATE])),
        ),
    ),
    Row(
        "F16",
        "record too large, key too long",
        "all claimed or parked, none blocking",
        (
            Part(U, "rows", 10_000, 60, values.too_large),
            Part(P, "large rows", 60, 6, running.too_large, "keys too long: U, for the example's are numbers"),
        ),
    ),
    Row(
        "F18",
        "reshard while publishing",
        "50, 0",
        (in_histories(500, under(places([Kind.SPLIT, Kind.MERGED])), "with a stream that reshards as Kinesis does"),),
        "P: the emulator deletes a parent shard with what was unread, so it cannot judge this.",
    ),
    Row(
        "F20",
        "SIGTERM in flight (producer)",
        "100, 0",
        (Part(P, "lives", 100, 2, processes.struck_at("producer", PRODUCER_CALLS, "SIGTERM")),),
    ),
)
