"""The fault proxy between real connections: what passes, what each fault does, and when it counts."""

import asyncio
import json
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from isthmus.chance import seeded_chance
from isthmus.console.proxy import answers, behaviour, server, wire
from isthmus.console.proxy.behaviour import some_places
from isthmus.console.proxy.faults import Fault, Traffic
from isthmus.console.proxy.messages import Request, Response, encode_response
from isthmus.console.proxy.schedule import Schedule, Strike
from isthmus.console.proxy.server import Proxy

PATIENCE = 10.0
PUT, READ, WRITE = "Kinesis_20131202.PutRecords", "Kinesis_20131202.GetRecords", "DynamoDB_20120810.UpdateItem"
BEAT = {"Key": {"kind": {"S": "lease"}, "id": {"S": "x"}}, "ExpressionAttributeValues": {":one": {"N": "1"}}}
WATERMARK = {**BEAT, "ExpressionAttributeValues": {":watermark": {"S": "[1]"}}}
CHECKPOINT = {"Key": {"kind": {"S": "shard"}, "id": {"S": "x"}}}
PAGE = {"Records": [{"Data": "x"}], "NextShardIterator": "next"}


def puts(number: int) -> dict[str, Any]:
    return {"Records": [{"Data": str(place)} for place in range(number)]}


def accept_all(body: dict[str, Any]) -> dict[str, Any]:
    return {"FailedRecordCount": 0, "Records": [{"SequenceNumber": entry["Data"]} for entry in body["Records"]]}


@dataclass
class Service:
    """The real service, as far as the proxy knows: takes requests, gives what it is told."""

    answer: Callable[[Request], bytes]
    requests: list[Request] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        head = await wire.read_request_head(reader)
        request = head.request.with_body(await wire.read_request_body(reader, head))
        self.requests.append(request)
        writer.write(self.answer(request))
        await writer.drain()
        writer.close()
        self.arrived.set()

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.body) for request in self.requests]


def ok(body: Any = None) -> Callable[[Request], bytes]:
    def answer(request: Request) -> bytes:
        given = body if body is not None else accept_all(json.loads(request.body))
        return encode_response(Response(200, "OK", [], json.dumps(given).encode()), keeps_open=False)

    return answer


@dataclass
class World:
    service: Service
    proxy: Proxy
    port: int
    fired: list[Fault]
    counted: asyncio.Event

    async def send(self, target: str, body: Any) -> Response | None:
        """Send one request as a client; None: the connection was reset."""
        request = Request("POST", "/", [("X-Amz-Target", target)], json.dumps(body).encode())
        try:
            return await wire.exchange(self.port, request)
        except wire.Gone:
            return None


def run(
    service: Callable[[Request], bytes],
    story: Callable[[World], Awaitable[None]],
    *faults: Fault,
    traffic: Traffic = Traffic.PUT,
) -> None:
    """Play a story in which the faults strike the first requests, one each."""

    async def play() -> None:
        stood = Service(service)
        fired: list[Fault] = []
        counted = asyncio.Event()

        def count(fault: Fault) -> None:
            fired.append(fault)
            counted.set()

        async with await asyncio.start_server(stood.serve, "127.0.0.1", 0) as upstream:
            strikes: dict[Traffic, list[Strike]] = {each: [] for each in Traffic} | {
                traffic: [Strike(fault, 1, "seed") for fault in faults]
            }
            proxy = Proxy(upstream.sockets[0].getsockname()[1], Schedule(strikes), count)
            port = await proxy.start()
            try:
                async with asyncio.timeout(PATIENCE):
                    await story(World(stood, proxy, port, fired, counted))
            finally:
                await proxy.stop()
                await proxy.stop()

    asyncio.run(play())


def body_of(response: Response | None) -> Any:
    assert response is not None
    return json.loads(response.body)


def code_of(response: Response | None) -> tuple[int, str]:
    assert response is not None
    return response.status, json.loads(response.body)["__type"].rpartition("#")[2]


def test_without_a_plan_everything_passes_unchanged() -> None:
    async def story(world: World) -> None:
        for target in (PUT, READ, WRITE, "AmazonSQS.SendMessage"):
            assert body_of(await world.send(target, puts(2))) == accept_all(puts(2))
        assert world.service.bodies == [puts(2)] * 4
        assert world.fired == []

    run(ok(), story)


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

        async def hang(_self: object, _seconds: float) -> bool:
            await go.wait()
            return False

        monkeypatch.setattr(server._Exchange, "hang", hang)
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
    monkeypatch.setattr(behaviour, "HANG_SECONDS", 0.2)

    async def story(world: World) -> None:
        begun = asyncio.get_running_loop().time()
        assert await world.send(target, body) is None
        assert asyncio.get_running_loop().time() - begun >= 0.2
        assert (world.service.requests, world.fired) == ([], [fault])

    run(ok({}), story, fault, traffic=traffic)


def test_a_time_out_that_the_client_does_not_wait_for_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behaviour, "HANG_SECONDS", 0.05)

    async def story(world: World) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(b"POST / HTTP/1.1\r\nX-Amz-Target: " + PUT.encode() + b"\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        while world.proxy._clients:
            await asyncio.wait(list(world.proxy._clients))
        assert world.fired == []
        assert await world.send(PUT, puts(1)) is None
        assert world.fired == [Fault.PUT_TIMEOUT]

    run(ok(), story, Fault.PUT_TIMEOUT)


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


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", b"what?\r\n\r\n"])
def test_a_service_that_gives_no_whole_answer_is_a_broken_connection_to_the_client(answer: bytes) -> None:
    async def story(world: World) -> None:
        assert await world.send(PUT, puts(2)) is None
        assert await world.send(PUT, puts(2)) is None
        assert world.fired == []

    run(lambda _: answer, story, Fault.PUT_ACCEPTED_THEN_RESET)


def test_a_service_that_is_away_is_a_broken_connection_and_no_fault() -> None:
    async def story() -> None:
        fired: list[Fault] = []
        async with await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0) as gone:
            port = gone.sockets[0].getsockname()[1]
        proxy = Proxy(port, Schedule({traffic: [] for traffic in Traffic}), fired.append)
        try:
            with pytest.raises(wire.Gone):
                await wire.exchange(await proxy.start(), Request("GET", "/", []))
        finally:
            await proxy.stop()

    asyncio.run(story())


@pytest.mark.parametrize(
    "answer, body",
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", b"to the end"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
def test_an_answer_passes_whole_however_its_end_is_told(answer: bytes, body: bytes) -> None:
    async def story(world: World) -> None:
        response = await world.send("AmazonSQS.SendMessage", {})
        assert response is not None
        assert response.body == body

    run(lambda _: answer, story)


@pytest.mark.parametrize(
    "chunks",
    [b"3\r\nabcd\r\n0\r\n\r\n", b"3\r\nabc\r\n0\r\nTrailer: 1\r\n\r\n", b"zz\r\n", b"1" * 20 + b"\r\n", b"5000000\r\n"],
)
def test_chunks_that_break_the_rules_or_the_bounds_are_refused(chunks: bytes) -> None:
    async def story(world: World) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
        assert (await reader.readline()).startswith(b"HTTP/1.1 4")
        writer.close()
        await writer.wait_closed()
        assert world.service.requests == []

    run(ok({}), story)


def test_one_connection_carries_many_requests_and_bodies_in_chunks() -> None:
    async def story(world: World) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        received = await reader.read()
        assert received.count(b"HTTP/1.1 200 OK") == 3
        assert received.count(b"Connection: keep-alive") == 2
        assert [request.body for request in world.service.requests] == [b"{}", b"[]", b""]
        writer.close()
        await writer.wait_closed()

    run(ok({}), story)


def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    async def story(world: World) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(b"PUT /b/k HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"{}")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
        assert world.service.requests[0].field("expect") == ""
        writer.close()
        await writer.wait_closed()

    run(ok({}), story)


def test_a_request_that_is_none_is_refused_with_a_reason_and_the_connection_ends() -> None:
    async def story(world: World) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(b"nonsense\r\n\r\n")
        received = await reader.read()
        assert received.startswith(b"HTTP/1.1 400 ")
        assert received.endswith(b"The request line is none of HTTP/1.1.\n")
        writer.close()
        await writer.wait_closed()

    run(ok({}), story)


def test_a_head_without_an_end_is_cut_off() -> None:
    async def story(world: World) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000)
        assert (await reader.readline()).startswith(b"HTTP/1.1 431 ")
        writer.close()

    run(ok({}), story)


def test_one_client_too_many_is_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_CLIENTS", 1)

    async def story(world: World) -> None:
        _, first = await asyncio.open_connection("127.0.0.1", world.port)
        # The first one is accepted before the second, in the order in which they came.
        assert await world.send(PUT, puts(1)) is None
        first.close()
        await first.wait_closed()
        await asyncio.wait(list(world.proxy._clients))
        assert await world.send(PUT, puts(1)) is not None

    run(ok(), story)


def test_it_listens_on_loopback_only() -> None:
    async def story(world: World) -> None:
        assert world.proxy._server is not None
        assert [each.getsockname()[0] for each in world.proxy._server.sockets] == ["127.0.0.1"]

    run(ok(), story)


def test_a_lost_connection_is_a_reset_and_not_an_end() -> None:
    async def story(world: World) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(
            b"POST / HTTP/1.1\r\nX-Amz-Target: " + PUT.encode() + b'\r\nContent-Length: 15\r\n\r\n{"Records": []}'
        )
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()

    run(ok(), story, Fault.PUT_ACCEPTED_THEN_RESET)
