"""The rows of the matrix that are run here, by their ids."""

from typing import Final

from isthmus.console.proxy.faults import STRIKES, Traffic
from tests.faults import (
    cancellations,
    crashes,
    crowds,
    histories,
    kcl_units,
    memory,
    orders,
    postgres_troubles,
    processes,
    running,
    tokens,
    values,
)
from tests.faults.histories import places, restarted, under
from tests.faults.kcl_kills import BUNDLE_CUT, CHILD_KILLED, DAEMON_KILLED, HANDLER_RAISES, raised
from tests.faults.kcl_lines import CHECKPOINTS_FAIL, FRONT_OFFICE_SILENT, READS_FAIL, STDOUT_FORGED
from tests.faults.kcl_moves import LEASES_STOLEN, RESHARDS, WORKER_STOPPED
from tests.faults.kcl_refusals import REFUSALS, REFUSED
from tests.faults.kcl_rows import part as kcl
from tests.faults.lot_rows import LOT_ROWS
from tests.faults.parts import KILLS, STORE_CALLS, P, S, U, in_histories
from tests.faults.processes import CONSUMER_CALLS
from tests.faults.producer_rows import PRODUCER_ROWS
from tests.faults.row import Part, Row
from tests.simulation.plan import CALLS, Kind

_FEED: Final = tuple(call for call in CALLS["consumer"] if call.startswith("feed."))
_SHARDS: Final = ("shards.read_all", "shards.save")
_LOCAL: Final = "the local runtime"
_ONE_STORE: Final = "the SQLite store"

ROWS: Final = (
    *PRODUCER_ROWS,
    Row(
        "F21",
        "the handler raises anything, in any callback",
        "each x each, 0 skipped",
        (
            Part(
                U,
                "raised",
                None,
                0,
                kcl_units.raised_anywhere,
                "12 kinds in 5 callbacks, and in deciding each of 6 records",
            ),
            kcl(HANDLER_RAISES, len(raised()), 2, "13 kinds at 7 places"),
        ),
    ),
    Row(
        "F22",
        "the consumer killed at each of its steps",
        "10,000 + 200, 0",
        (
            in_histories(10_000, under(places(KILLS, role="consumer")), _LOCAL),
            Part(P, "lives", 200, 2, processes.struck_at("consumer", CONSUMER_CALLS, "SIGKILL"), _LOCAL),
            kcl(CHILD_KILLED, 200, 1, "26 steps of a child"),
        ),
    ),
    Row("F23", "JVM killed, the child lives on", "100, 0 stale; child gone ≤ 2 s", (kcl(DAEMON_KILLED, 100, 1),)),
    Row(
        "F24",
        "worker stopped (SIGSTOP) past failover, then continued",
        "10,000 + 50, 0 stale",
        (
            in_histories(10_000, under(places([Kind.STOPPED, Kind.SUSPENDED], role="consumer")), _LOCAL),
            Part(P, "stops", 50, 1, processes.stopped("consumer", CONSUMER_CALLS), _LOCAL),
            kcl(WORKER_STOPPED, 50, 1, "PostgreSQL"),
        ),
    ),
    Row(
        "F25",
        "leases stolen and given back all the time",
        "100 handovers, 0",
        (kcl(LEASES_STOLEN, 100, 1, "by the write with which the library's leader does it"),),
    ),
    Row(
        "F26",
        "split and merge under load, with restarts at shard end",
        "5,000 + 30, 0",
        (
            in_histories(5_000, under(places([Kind.SPLIT, Kind.MERGED]), restarted), _LOCAL),
            kcl(RESHARDS, 30, 1),
        ),
    ),
    Row(
        "F27",
        "checkpoint throttled, failed, unknown",
        "2,000, 0",
        (
            in_histories(
                2_000,
                under(places([Kind.FAILED, Kind.ANSWER_LOST, Kind.LATE, Kind.SLOW], role="consumer", calls=_SHARDS)),
            ),
            Part(P, "faults", 60, 3, processes.between(STRIKES[Traffic.CHECKPOINT]), "not asked for by the matrix"),
            kcl(CHECKPOINTS_FAIL, 200, 4, "the matrix's number is kept by S"),
        ),
    ),
    Row(
        "F28",
        "something prints to stdout, forged messages, from C too",
        "10,000 lines, 0 accepted",
        (kcl(STDOUT_FORGED, 10_000, 1),),
        "U: tests/integration/test_kcl_child.py forges 10,000 lines in a child of its own.",
    ),
    Row(
        "F29",
        "the store accepts and says nothing",
        "noticed ≤ 60 s, 0 stuck",
        (kcl(FRONT_OFFICE_SILENT, 10, 1, "PostgreSQL; the matrix names no number"),),
        "P: the same store in the same process is asked by its contract suite; a file (SQLite) cannot fall silent.",
    ),
    Row(
        "F30",
        "the whole stream replayed three times",
        "100,000 records, same state",
        (
            Part(U, "records", 100_000, 600, orders.replayed_three_times, "the matrix's S, on the real store"),
            in_histories(500, under(places([Kind.REPLAYED]))),
            Part(P, "rounds", 10, 1, processes.replayed, "the matrix's number is kept by U"),
        ),
    ),
    Row(
        "F32",
        "iterator expired, empty pages, 5xx",
        "200, 0",
        (
            in_histories(200, under(places([Kind.EXPIRED, Kind.EMPTY, Kind.FAILED], role="consumer", calls=_FEED))),
            Part(P, "faults", 200, 4, processes.between(STRIKES[Traffic.READ])),
            kcl(READS_FAIL, 200, 5),
        ),
    ),
    Row(
        "F33",
        "a foreign producer sends one key out of order",
        "10,000, newest wins",
        (
            Part(U, "orders", 10_000, 40, orders.newest_wins),
            in_histories(500, under(places([Kind.FOREIGN])), "the matrix's number is kept by U"),
        ),
    ),
    Row(
        "F34",
        "bundle cut by a crash in the middle (no invented sub-sequence)",
        "1,000, 0",
        (
            Part(U, "bundles", 1_000, 40, crashes.cut_by_a_crash),
            kcl(BUNDLE_CUT, 60, 1, "between two transactions of one bundle; the matrix's number is kept by U"),
        ),
    ),
    Row(
        "F35",
        "every order of callbacks, empty batches",
        "exhaustive ≤ 6",
        (Part(U, "orders", None, 0, crashes.every_order_of_calls, "all orders of ≤ 6 of five calls"),),
    ),
    Row(
        "F36",
        "lease row deleted, application renamed, LATEST on a new application",
        "4 of 4 refused",
        (kcl(REFUSALS, len(REFUSED), len(REFUSED), "and another application's lease table"),),
    ),
    Row(
        "F37",
        "crash between effect and ledger",
        "exhaustive + 500, 0",
        (
            Part(U, "points", None, 0, crashes.crash_anywhere, "each statement, before and after, each batch size"),
            in_histories(500, under(places(KILLS, role="consumer", calls=STORE_CALLS))),
        ),
        f"P: {_ONE_STORE} is a library; its processes are killed at each of these steps by F22, sessions of PostgreSQL "
        "by F46.",
    ),
    Row(
        "F38",
        "the store wrote, the reply was lost",
        "5,000, 0",
        (
            Part(U, "commits", 5_000, 40, crashes.answer_lost),
            in_histories(
                5_000, under(places([Kind.ANSWER_LOST], role="consumer", calls=["store.commit", "store.take"]))
            ),
            Part(P, "commits", 100, 4, postgres_troubles.answer_lost, "PostgreSQL; the matrix's number is kept by U"),
        ),
    ),
    Row(
        "F39",
        "mixed cancellation reasons",
        "all combinations",
        (
            Part(U, "combinations", None, 0, cancellations.every_verdict, "7 reasons for ≤ 5 actions, ours or not"),
            Part(P, "transactions", None, 40, cancellations.every_decision, "the decider's own, of ≤ 5 actions"),
        ),
    ),
    Row(
        "F40",
        "the same token after ten minutes",
        "500, 0",
        (Part(S, "histories", 500, 4, tokens.tokens_forgotten, "virtual time, the emulator behind it"),),
    ),
    Row(
        "F42",
        "same transaction ID, other rowhash (and: same row, new translator: no alarm)",
        "all alarmed, first stays",
        (
            Part(U, "pairs", 2_000, 40, orders.other_hash),
            Part(U, "translations", 500, 10, values.new_translator, "no alarm"),
        ),
    ),
    Row(
        "F43",
        "many workers on one entity",
        "100 runs equal the model",
        (Part(P, "runs", 100, 4, crowds.many_on_one, "all three stores; on PostgreSQL threads, and processes"),),
    ),
    Row(
        "F44",
        "delete, then a late update",
        "5,000, 0 resurrected",
        (
            Part(U, "deletes", 5_000, 40, orders.no_resurrection, "the matrix's S, on the real store"),
            in_histories(500, under(places([Kind.LATE, Kind.FOREIGN], calls=["sink.put"]))),
            Part(P, "deletes", 500, 4, orders.no_resurrection_in("PostgreSQL"), "the same on PostgreSQL"),
            Part(P, "deletes", 200, 4, orders.no_resurrection_in("DynamoDB"), "the same on DynamoDB"),
        ),
    ),
    Row(
        "F45",
        "decimals, -0, 1E126, NaN, NUL, surrogates",
        "100,000 values, exact or parked",
        (Part(U, "values", 100_000, 1_000, values.odd_values),),
        f"P: {_ONE_STORE} only, in this process; the other stores are asked by their contract suite.",
    ),
    Row(
        "F46",
        "PostgreSQL: serialization failure, deadlock, disk full, killed session",
        "300, 0",
        (
            Part(
                P,
                "troubles",
                300,
                8,
                postgres_troubles.everything,
                "a real server; serialization failure and full disk are raised in the place of a statement",
            ),
        ),
    ),
    Row(
        "F47",
        "poison at any place of a batch, all poison",
        "shard stall ≤ 1 s a record, 0 blocked",
        (
            Part(U, "sets", None, 0, orders.poison_anywhere, "all sets of ≤ 8 places"),
            Part(U, "poison records", 2_000, 100, orders.stall, "the longest stall is measured"),
            in_histories(500, under(places([Kind.SLOW], role="consumer", calls=STORE_CALLS), histories.much_poison)),
            Part(P, "transactions", 256, 3, running.poison_anywhere, "every set of 8 rows"),
        ),
        "K: no row of its own; one change in forty of every history with the real daemon is poison, of four kinds.",
    ),
    *LOT_ROWS,
    Row(
        "F61",
        "512 MiB of memory, 10 MiB records",
        "peak ≤ 400 MiB",
        (
            Part(P, "records", 26, 3, memory.large_records("SQLite"), "13 kinds, alone and all together; SQLite"),
            Part(P, "records", 26, 3, memory.large_records("PostgreSQL"), "the same; PostgreSQL"),
        ),
    ),
    Row("F62", "1,000 restarts", "descriptors + ≤ 2", (Part(P, "restarts", 1_000, 2, processes.descriptors),)),
)

BY_ID: Final = {row.id: row for row in ROWS}
