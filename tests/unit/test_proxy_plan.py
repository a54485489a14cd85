"""Which request each fault strikes, and what is recognised as such a request."""

import contextlib
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.aws import AwsAccess, client
from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.ports import Holder, Lease, ShardCheckpoint, StreamRecord
from isthmus.clock import SystemClock
from isthmus.console.proxy.faults import STRIKES, Fault, Traffic
from isthmus.console.proxy.recognise import traffic_of
from isthmus.console.proxy.schedule import GAPS, Schedule, Strike, plan
from isthmus.consumer.kinesis import KinesisFeed
from isthmus.producer.kinesis import KinesisSink
from isthmus.producer.sink import Entry
from isthmus.stream import StreamIdentity

SEEDS = st.integers(0, 10**6)
ACCESS = AwsAccess("http://127.0.0.1:9", "us-east-1", "test", "test")
STREAM = StreamIdentity("arn", "2013-01-01T00:00:00Z")
HOLDER = Holder("me", "host", "boot", 1, "2", "2013-01-01T00:00:00Z")
LEASE = Lease("source/flights", 7, HOLDER, 0, STREAM)


def test_every_fault_of_a_request_strikes_one_kind_and_only_kills_strike_none() -> None:
    struck = Counter(fault for faults in STRIKES.values() for fault in faults)
    assert set(struck.values()) == {1}
    assert set(Fault) - set(struck) == {Fault.PRODUCER_KILLED, Fault.CONSUMER_KILLED}


@given(SEEDS, st.integers(1, 20))
def test_a_plan_holds_every_fault_so_many_times_and_a_seed_replays_it(seed: int, times: int) -> None:
    planned = plan(seed, times)
    assert planned == plan(seed, times)
    for traffic, strikes in planned.items():
        assert Counter(strike.fault for strike in strikes) == dict.fromkeys(STRIKES[traffic], times)


def test_another_seed_gives_another_plan() -> None:
    assert plan(1, 3) != plan(2, 3)


@given(SEEDS)
def test_between_two_strikes_as_many_requests_pass_as_the_gaps_say(seed: int) -> None:
    for traffic, strikes in plan(seed, 3).items():
        places = [0, *(strike.at for strike in strikes)]
        least, most = GAPS[traffic]
        assert all(least <= later - earlier - 1 <= most for earlier, later in pairwise(places))


def test_two_hearts_that_beat_in_turn_never_both_miss_a_beat_in_a_row() -> None:
    assert GAPS[Traffic.OWNERSHIP][0] >= 2


def schedule(*places: int) -> Schedule:
    strikes = [Strike(Fault.PUT_PARTIAL if place == 2 else Fault.PUT_500, place, "") for place in places]
    return Schedule({Traffic.PUT: strikes, Traffic.READ: []})


def test_a_fault_strikes_the_request_with_its_number_once() -> None:
    due = schedule(1, 3)
    found = [due.due(Traffic.PUT, lambda _: True) for _ in range(5)]
    assert [strike is not None for strike in found] == [True, False, True, False, False]


def test_requests_of_another_kind_do_not_count() -> None:
    due = schedule(2)
    assert due.due(Traffic.PUT, lambda _: True) is None
    assert due.due(Traffic.READ, lambda _: True) is None
    assert due.due(Traffic.PUT, lambda _: True) is not None


def test_a_fault_that_cannot_happen_waits_and_lets_the_next_one_go_first() -> None:
    due = schedule(2, 3)

    def possible(fault: Fault) -> bool:
        return fault is not Fault.PUT_PARTIAL

    found = [due.due(Traffic.PUT, possible) for _ in range(3)]
    assert [strike.fault if strike else None for strike in found] == [None, None, Fault.PUT_500]
    last = due.due(Traffic.PUT, lambda _: True)
    assert last is not None
    assert last.fault is Fault.PUT_PARTIAL


def test_a_fault_without_effect_strikes_the_next_request() -> None:
    due = schedule(1)
    first = due.due(Traffic.PUT, lambda _: True)
    assert first is not None
    due.put_back(Traffic.PUT, first)
    assert due.due(Traffic.PUT, lambda _: True) == first
    assert due.due(Traffic.PUT, lambda _: True) is None


class Seen:
    """What our own adapters send, as the proxy would see it."""

    def __init__(self) -> None:
        self.traffic: list[Traffic | None] = []

    def __call__(self, request: Any, **_: Any) -> None:
        self.traffic.append(traffic_of(request.headers["X-Amz-Target"].decode(), request.body))
        raise ConnectionError("seen")


@pytest.mark.parametrize(
    "action, traffic",
    [
        (lambda stored: stored.leases.take(LEASE, None), Traffic.OWNERSHIP),
        (lambda stored: stored.leases.take(LEASE, LEASE), Traffic.OWNERSHIP),
        (lambda stored: stored.leases.beat(LEASE.name, 7), Traffic.OWNERSHIP),
        (lambda stored: stored.leases.give_back(LEASE.name, 7), Traffic.OWNERSHIP),
        (lambda stored: stored.leases.advance(LEASE.name, 7, "[1]"), Traffic.WATERMARK),
        (lambda stored: stored.shards.save(ShardCheckpoint("shard", STREAM, "1")), Traffic.CHECKPOINT),
        (lambda stored: stored.leases.read(LEASE.name), None),
        (lambda stored: stored.leases.all(), None),
        (lambda stored: stored.shards.read_all(), None),
        (lambda stored: stored.stream.record(StreamRecord(STREAM, 64)), None),
    ],
)
def test_our_own_requests_to_dynamodb_are_recognised(action: Any, traffic: Traffic | None) -> None:
    seen = Seen()
    with contextlib.closing(client(ACCESS, "dynamodb")) as dynamodb:
        dynamodb.meta.events.register("before-send", seen)
        with pytest.raises(Exception, match="seen"):
            action(DynamoCheckpoints(dynamodb, "table", SystemClock()))
    assert seen.traffic == [traffic]


def test_a_resync_that_writes_a_watermark_with_the_epoch_is_a_take_over() -> None:
    seen = Seen()
    lease = Lease("source/flights", 7, HOLDER, 0, STREAM, 1, "[0]")
    with contextlib.closing(client(ACCESS, "dynamodb")) as dynamodb:
        dynamodb.meta.events.register("before-send", seen)
        with pytest.raises(Exception, match="seen"):
            DynamoCheckpoints(dynamodb, "table", SystemClock()).leases.take(lease, LEASE, replace=True)
    assert seen.traffic == [Traffic.OWNERSHIP]


@pytest.mark.parametrize(
    "action, traffic",
    [
        (lambda kinesis: KinesisSink(kinesis, "s", 4).put([Entry(0, b"x")]), Traffic.PUT),
        (lambda kinesis: KinesisFeed(kinesis, "s").fetch("iterator", 10), Traffic.READ),
        (lambda kinesis: KinesisFeed(kinesis, "s").iterator("shard", None), None),
        (lambda kinesis: KinesisFeed(kinesis, "s").shards(), None),
    ],
)
def test_our_own_requests_to_kinesis_are_recognised(action: Any, traffic: Traffic | None) -> None:
    seen = Seen()
    with contextlib.closing(client(ACCESS, "kinesis")) as kinesis:
        kinesis.meta.events.register("before-send", seen)
        with pytest.raises(Exception, match="seen"):
            action(kinesis)
    assert seen.traffic == [traffic]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"Key": 1}', b'{"Key": {"kind": 1}}', b'{"Key": {"kind": {"S": "x"}}}']
)
def test_what_is_no_write_of_ours_passes(body: bytes) -> None:
    assert traffic_of("DynamoDB_20120810.UpdateItem", body) is None
    assert traffic_of("AmazonSQS.SendMessage", body) is None
    assert traffic_of("", body) is None
