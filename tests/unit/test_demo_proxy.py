"""The fault proxy before two services, and before the Kinesis Client Library."""

import asyncio
import json
from typing import Any

import pytest

from isthmus.console.proxy import wire
from isthmus.console.proxy.faults import Traffic
from isthmus.console.proxy.messages import Request
from isthmus.console.proxy.recognise import is_kinesis, traffic_of
from isthmus.console.proxy.schedule import Schedule, plan, sparing
from isthmus.console.proxy.server import Proxy
from tests.fakes.proxy_world import PUT, READ, WRITE, Service, ok

LEASE = {"leaseKey": {"S": "shardId-000000000001"}}
COUNTER = {"leaseCounter": {"Value": {"N": "2"}, "Action": "PUT"}}
OWNER = {"leaseOwner": {"Value": {"S": "worker-1"}, "Action": "PUT"}}
CHECKPOINT = {"checkpoint": {"Value": {"S": "495"}, "Action": "PUT"}}


@pytest.mark.parametrize(
    "request_, traffic",
    [
        ({"Key": LEASE, "AttributeUpdates": COUNTER}, Traffic.OWNERSHIP),
        ({"Key": LEASE, "AttributeUpdates": COUNTER | OWNER}, Traffic.OWNERSHIP),
        ({"Key": LEASE, "AttributeUpdates": COUNTER | CHECKPOINT}, Traffic.CHECKPOINT),
        ({"Key": LEASE, "UpdateExpression": "SET x = :y"}, Traffic.OWNERSHIP),
        # When workers say that they live, and the leader's lock: neither decides over a shard.
        ({"Key": {"wid": {"S": "worker-1"}}, "UpdateExpression": "SET x = :y"}, None),
        ({"Key": {"key": {"S": "Leader"}}, "UpdateExpression": "SET #ld = :ld"}, None),
    ],
)
def test_what_the_library_writes_of_a_lease_is_recognised(request_: Any, traffic: Traffic | None) -> None:
    assert traffic_of(WRITE, json.dumps(request_).encode()) is traffic


def test_only_requests_to_kinesis_are_told_as_such() -> None:
    assert is_kinesis(PUT)
    assert is_kinesis(READ)
    assert not is_kinesis(WRITE)
    assert not is_kinesis("")


def test_requests_that_are_spared_all_pass_and_the_others_are_struck_as_they_would_have_been() -> None:
    planned = plan(7, 3)
    spared = sparing(planned, [Traffic.READ])
    assert {traffic: spared[traffic] for traffic in Traffic if traffic is not Traffic.READ} == {
        traffic: planned[traffic] for traffic in Traffic if traffic is not Traffic.READ
    }
    due = Schedule(spared)
    assert not any(due.due(Traffic.READ, lambda _: True) for _ in range(1000))


@pytest.mark.parametrize("apart", [True, False])
def test_requests_go_to_where_their_service_is(*, apart: bool) -> None:
    async def story() -> None:
        kinesis, others = Service(ok({})), Service(ok({}))
        async with (
            await asyncio.start_server(kinesis.serve, wire.LOOPBACK, 0) as here,
            await asyncio.start_server(others.serve, wire.LOOPBACK, 0) as there,
        ):
            proxy = Proxy(
                there.sockets[0].getsockname()[1],
                Schedule({traffic: [] for traffic in Traffic}),
                print,
                kinesis=here.sockets[0].getsockname()[1] if apart else None,
            )
            port = await proxy.start()
            try:
                for target in (PUT, WRITE, "AmazonSQS.SendMessage"):
                    await wire.exchange(port, Request("POST", "/", [("X-Amz-Target", target)], b"{}"))
            finally:
                await proxy.stop()
        targets = [[request.field("x-amz-target") for request in each.requests] for each in (kinesis, others)]
        rest = [WRITE, "AmazonSQS.SendMessage"]
        assert targets == ([[PUT], rest] if apart else [[], [PUT, *rest]])

    asyncio.run(story())
