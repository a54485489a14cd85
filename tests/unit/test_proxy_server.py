"""The fault proxy between real connections: what passes, and what is refused."""

import asyncio

import pytest

from isthmus.console.proxy import server, wire
from isthmus.console.proxy.faults import Fault, Traffic
from isthmus.console.proxy.messages import Request
from isthmus.console.proxy.schedule import Schedule
from isthmus.console.proxy.server import Proxy
from tests.fakes.proxy_world import (
    PUT,
    READ,
    WRITE,
    World,
    accept_all,
    body_of,
    ok,
    puts,
    run,
)


def test_without_a_plan_everything_passes_unchanged() -> None:
    async def story(world: World) -> None:
        for target in (PUT, READ, WRITE, "AmazonSQS.SendMessage"):
            assert body_of(await world.send(target, puts(2))) == accept_all(puts(2))
        assert world.service.bodies == [puts(2)] * 4
        assert world.fired == []

    run(ok(), story)


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
