"""A fault proxy between a client and a service that gives what it is told."""

import asyncio
import json
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from isthmus.console.proxy import wire
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
