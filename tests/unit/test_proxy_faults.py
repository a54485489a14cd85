"""The fault proxy between real connections: what each fault does, and when it counts."""

import asyncio
import json
from typing import Any

import pytest

from isthmus.chance import seeded_chance
from isthmus.console.proxy import answers, behaviour, http1
from isthmus.console.proxy.behaviour import some_places
from isthmus.console.proxy.faults import Fault, Traffic
from isthmus.console.proxy.messages import Request, Response, encode_response
from tests.fakes.proxy_world import (
    BEAT,
    CHECKPOINT,
    PAGE,
    PUT,
    READ,
    WATERMARK,
    WRITE,
    World,
    accept_all,
    body_of,
    code_of,
    ok,
    puts,
    run,
)


def test_some_entries_of_a_put_are_refused_and_the_others_accepted() -> None:
    async def story(world: World) -> None:
        answer = body_of(await world.send(PUT, puts(6)))
        refused = [place for place, entry in enumerate(answer["Records"]) if "ErrorCode" in entry]
        assert 0 < len(refused) < 6
        assert answer["FailedRecordCount"] == len(refused)
        assert {answer["Records"][place]["ErrorCode"] for place in refused} <= {answers.THROTTLED, answers.INTERNAL}
        accepted = [place for place in range(6) if place not in refused]
        assert [answer["Records"][place]["SequenceNumber"] for place in accepted] == [str(place) for place in accepted]
        assert [entry["Data"] for entry in world.service.bodies[0]["Records"]] == [str(place) for place in accepted]
        assert world.fired == [Fault.PUT_PARTIAL]

    run(ok(), story, Fault.PUT_PARTIAL)


def test_a_put_of_one_entry_cannot_fail_in_part_and_the_fault_waits_for_a_larger_one() -> None:
    async def story(world: World) -> None:
        assert body_of(await world.send(PUT, puts(1))) == accept_all(puts(1))
        assert world.fired == []
        await world.send(PUT, puts(2))
        assert world.fired == [Fault.PUT_PARTIAL]

    run(ok(), story, Fault.PUT_PARTIAL)


def test_what_the_service_itself_refused_is_counted_with_what_the_fault_refused() -> None:
    whole = Response(200, "OK", [], json.dumps({"FailedRecordCount": 1, "Records": [{"ErrorCode": "Own"}]}).encode())
    answer = json.loads(answers.with_refused_entries(whole, {1: answers.INTERNAL}).body)
    assert [entry["ErrorCode"] for entry in answer["Records"]] == ["Own", answers.INTERNAL]
    assert answer["FailedRecordCount"] == 2


@pytest.mark.parametrize("entries", [2, 3, 50])
def test_of_any_put_at_least_one_entry_is_refused_and_at_least_one_accepted(entries: int) -> None:
    for seed in range(200):
        assert 0 < len(some_places(entries, seeded_chance(str(seed)))) < entries


@pytest.mark.parametrize(
    "fault, traffic, target, body",
    [
        (Fault.PUT_ACCEPTED_THEN_RESET, Traffic.PUT, PUT, puts(2)),
        (Fault.WATERMARK_ANSWER_LOST, Traffic.WATERMARK, WRITE, WATERMARK),
        (Fault.OWNERSHIP_ANSWER_LOST, Traffic.OWNERSHIP, WRITE, BEAT),
        (Fault.CHECKPOINT_ANSWER_LOST, Traffic.CHECKPOINT, WRITE, CHECKPOINT),
    ],
)
def test_an_answer_is_lost_after_the_request_took_effect(
    fault: Fault, traffic: Traffic, target: str, body: dict[str, Any]
) -> None:
    async def story(world: World) -> None:
        assert await world.send(target, body) is None
        assert world.service.bodies == [body]
        assert world.fired == [fault]

    run(ok({}), story, fault, traffic=traffic)


@pytest.mark.parametrize("fault", [Fault.PUT_ACCEPTED_THEN_RESET, Fault.PUT_PARTIAL])
def test_a_request_that_the_service_refused_is_no_fault_of_ours_and_the_next_one_is_struck(fault: Fault) -> None:
    refusals = iter([answers.error(400, "ValidationException", "no")])

    def answer(request: Request) -> bytes:
        refusal = next(refusals, None)
        return ok()(request) if refusal is None else encode_response(refusal, keeps_open=False)

    async def story(world: World) -> None:
        assert code_of(await world.send(PUT, puts(2))) == (400, "ValidationException")
        assert world.fired == []
        await world.send(PUT, puts(2))
        assert world.fired == [fault]

    run(answer, story, fault)


def test_an_answer_that_refuses_some_entries_is_not_lost() -> None:
    async def story(world: World) -> None:
        assert body_of(await world.send(PUT, puts(2)))["FailedRecordCount"] == 1
        assert world.fired == []

    run(ok({"FailedRecordCount": 1, "Records": [{}, {}]}), story, Fault.PUT_ACCEPTED_THEN_RESET)


def test_a_late_put_arrives_after_its_own_repetition_and_counts_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World) -> None:
        go = asyncio.Event()

        async def wait(_self: object, _seconds: float) -> None:
            await go.wait()

        monkeypatch.setattr(http1.Turn, "wait", wait)
        assert await world.send(PUT, puts(2)) is None
        assert (world.service.requests, world.fired) == ([], [])
        assert await world.send(PUT, puts(3)) is not None
        go.set()
        await world.counted.wait()
        assert [len(body["Records"]) for body in world.service.bodies] == [3, 2]
        assert world.fired == [Fault.PUT_DELIVERED_LATE]

    run(ok(), story, Fault.PUT_DELIVERED_LATE)


@pytest.mark.parametrize(
    "fault, traffic, target, body, code",
    [
        (Fault.PUT_THROTTLED, Traffic.PUT, PUT, puts(1), (400, answers.THROTTLED)),
        (Fault.PUT_500, Traffic.PUT, PUT, puts(1), (500, answers.INTERNAL)),
        (Fault.WATERMARK_FAILED, Traffic.WATERMARK, WRITE, WATERMARK, (500, "InternalServerError")),
        (Fault.OWNERSHIP_FAILED, Traffic.OWNERSHIP, WRITE, BEAT, (500, "InternalServerError")),
        (Fault.CHECKPOINT_FAILED, Traffic.CHECKPOINT, WRITE, CHECKPOINT, (500, "InternalServerError")),
        (Fault.READ_FAILED, Traffic.READ, READ, {}, (500, answers.INTERNAL)),
        (Fault.READ_THROTTLED, Traffic.READ, READ, {}, (400, answers.THROTTLED)),
        (Fault.ITERATOR_EXPIRED, Traffic.READ, READ, {}, (400, "ExpiredIteratorException")),
    ],
)
def test_a_request_that_fails_never_reaches_the_service(
    fault: Fault, traffic: Traffic, target: str, body: dict[str, Any], code: tuple[int, str]
) -> None:
    async def story(world: World) -> None:
        assert code_of(await world.send(target, body)) == code
        assert (world.service.requests, world.fired) == ([], [fault])

    run(ok({}), story, fault, traffic=traffic)


@pytest.mark.parametrize(
    "fault, traffic, target, body",
    [
        (Fault.PUT_TIMEOUT, Traffic.PUT, PUT, puts(1)),
        (Fault.WATERMARK_TIMED_OUT, Traffic.WATERMARK, WRITE, WATERMARK),
        (Fault.OWNERSHIP_TIMED_OUT, Traffic.OWNERSHIP, WRITE, BEAT),
        (Fault.CHECKPOINT_TIMED_OUT, Traffic.CHECKPOINT, WRITE, CHECKPOINT),
    ],
)
def test_a_request_that_times_out_never_reaches_the_service_and_hangs_before_its_reset(
    fault: Fault, traffic: Traffic, target: str, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behaviour, "HANGS_AT_LEAST", 0.1)
    monkeypatch.setattr(behaviour, "HANGS_AT_MOST", 0.2)

    async def story(world: World) -> None:
        begun = asyncio.get_running_loop().time()
        assert await world.send(target, body) is None
        assert asyncio.get_running_loop().time() - begun >= 0.2
        assert (world.service.requests, world.fired) == ([], [fault])

    run(ok({}), story, fault, traffic=traffic)


async def ask_and_leave(world: World) -> None:
    """Send a request, close the connection at once, and wait until the proxy has seen it."""
    _, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(b"POST / HTTP/1.1\r\nX-Amz-Target: " + PUT.encode() + b"\r\nContent-Length: 2\r\n\r\n{}")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    while world.proxy._clients:
        await asyncio.wait(list(world.proxy._clients))


def test_a_time_out_that_the_client_does_not_wait_for_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World) -> None:
        await ask_and_leave(world)
        assert world.fired == []
        monkeypatch.setattr(behaviour, "HANGS_AT_LEAST", 0.0)
        monkeypatch.setattr(behaviour, "HANGS_AT_MOST", 0.05)
        assert await world.send(PUT, puts(1)) is None
        assert world.fired == [Fault.PUT_TIMEOUT]

    run(ok(), story, Fault.PUT_TIMEOUT)


def test_a_client_that_gives_up_by_itself_has_been_timed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behaviour, "HANGS_AT_LEAST", 0.0)

    async def story(world: World) -> None:
        await ask_and_leave(world)
        assert (world.service.requests, world.fired) == ([], [Fault.PUT_TIMEOUT])

    run(ok(), story, Fault.PUT_TIMEOUT)


def test_our_clients_behind_the_proxy_give_up_before_it_does_and_not_before_it_counts() -> None:
    assert behaviour.HANGS_AT_LEAST < behaviour.CLIENTS_WAIT < behaviour.HANGS_AT_MOST


def test_a_page_comes_again_when_its_own_iterator_is_given_for_the_next_one() -> None:
    pages = iter([{"Records": [], "NextShardIterator": "next"}, PAGE])

    def next_page(request: Request) -> bytes:
        return ok(next(pages))(request)

    async def story(world: World) -> None:
        assert body_of(await world.send(READ, {"ShardIterator": "this"}))["NextShardIterator"] == "next"
        assert world.fired == []
        answer = body_of(await world.send(READ, {"ShardIterator": "this"}))
        assert answer == {**PAGE, "NextShardIterator": "this"}
        assert world.fired == [Fault.READ_REPEATED]

    run(next_page, story, Fault.READ_REPEATED, traffic=Traffic.READ)
