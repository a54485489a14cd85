"""`python -m tests.faults.kcl_between`: between the library's daemon and its AWS, for both services it speaks to.

DynamoDB over HTTP/1.1, Kinesis over HTTP/2 without TLS, as the AWS SDK for Java speaks them. On stdin, one JSON object
a line: `{"arm": FAULT, "times": N}` lets the next N requests that it can strike be struck, `{"storm": FAULT, "seconds":
S}` all of them for so long, `{"calm": true}` ends both. On stdout `{"dynamodb": PORT, "kinesis": PORT}`, then
`{"fired": FAULT}` for each.

Every checkpoint that is written into the lease table, by whomever, is noted in a file with what the front office had
decided just before.
"""

import argparse
import asyncio
import json
import sqlite3
import sys
import time
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson
import psycopg
from hypercorn.asyncio import serve
from hypercorn.config import Config

from isthmus.console.dev.standin import free_ports
from isthmus.console.proxy import answers, wire
from isthmus.console.proxy.messages import BadMessage, Request, Response, encode_response

_HANG_SECONDS: Final = 2.0
_NO_ANSWER: Final = (wire.Gone, BadMessage, TimeoutError)
_BY_PLAN: Final = "By the plan of the fault proxy."
_THROTTLED: Final = answers.error(
    400, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException", _BY_PLAN
)
_FAILED: Final = answers.error(500, "com.amazonaws.dynamodb.v20120810#InternalServerError", _BY_PLAN)

_ANSWER_LOST: Final = "checkpoint-answer-lost"
_TIMED_OUT: Final = "checkpoint-timed-out"
CHECKPOINT_FAULTS: Final = ("checkpoint-throttled", "checkpoint-failed", _ANSWER_LOST, _TIMED_OUT)
LEASE_FAULTS: Final = ("lease-throttled",)
_REFUSALS: Final = {"checkpoint-throttled": _THROTTLED, "checkpoint-failed": _FAILED, "lease-throttled": _THROTTLED}
"""What does not stand here gets no answer at all."""
_READ_REFUSALS: Final = {
    "read-failed": answers.error(500, answers.INTERNAL, _BY_PLAN),
    "read-throttled": answers.error(400, answers.THROTTLED, _BY_PLAN),
    "iterator-expired": answers.error(400, "ExpiredIteratorException", _BY_PLAN),
}
READ_FAULTS: Final = ("read-failed", "read-throttled", "iterator-expired", "empty-page", "page-repeated")


class Plan:
    """Which faults are due."""

    def __init__(self) -> None:
        self._armed: Counter[str] = Counter()
        self._storms: dict[str, float] = {}

    def hear(self, said: dict[str, Any]) -> None:
        """Take an order."""
        if "arm" in said:
            self._armed[said["arm"]] += said["times"]
        elif "storm" in said:
            self._storms[said["storm"]] = time.monotonic() + said["seconds"]
        else:
            self._armed.clear()
            self._storms.clear()

    def due(self, faults: tuple[str, ...]) -> str | None:
        """Give the fault that strikes a request which any of these can strike."""
        now = time.monotonic()
        for fault in faults:
            if self._storms.get(fault, 0.0) > now:
                return fault
        for fault in faults:
            if self._armed[fault]:
                self._armed[fault] -= 1
                return fault
        return None

    def put_back(self, fault: str) -> None:
        """Say that it had no effect."""
        self._armed[fault] += 1


class Leases:
    """Writes of the lease table as they pass."""

    def __init__(self, table: str, office: str, journal: Path) -> None:
        self._table = table
        self._snapshot = snapshots_of(office)
        self._journal = journal.open("a", buffering=1)

    def is_write(self, target: str, body: bytes) -> bool:
        """Say whether this is a write of a lease."""
        return target == "DynamoDB_20120810.UpdateItem" and f'"TableName":"{self._table}"'.encode() in body

    def checkpoint_in(self, body: bytes) -> tuple[str, str, int] | None:
        """Give shard, sequence number and sub-sequence number of the checkpoint that a write holds."""
        asked = orjson.loads(body)
        written = asked.get("AttributeUpdates", {})
        if "checkpoint" not in written:
            return None
        sub = written.get("checkpointSubSequenceNumber", {}).get("Value", {}).get("N", "0")
        return asked["Key"]["leaseKey"]["S"], written["checkpoint"]["Value"]["S"], int(sub)

    def snapshot(self) -> str:
        """Give what the front office has decided by now."""
        return self._snapshot()

    def note(self, checkpoint: tuple[str, str, int], snapshot: str) -> None:
        """Write a checkpoint down that took effect."""
        self._journal.write(json.dumps([*checkpoint, snapshot]) + "\n")


def snapshots_of(office: str) -> Callable[[], str]:
    """Give what tells, for a front office at this address, how far it has decided."""
    if office.startswith("postgresql://") or "host=" in office:
        postgres = psycopg.connect(office, autocommit=True)

        def of_postgres() -> str:
            row = postgres.execute("SELECT pg_current_snapshot()::text").fetchone()
            assert row is not None
            return str(row[0])

        return of_postgres
    sqlite = sqlite3.connect(office, isolation_level=None)

    def of_sqlite() -> str:
        return str(sqlite.execute("SELECT coalesce(max(place), 0) FROM decided").fetchone()[0])

    return of_sqlite


class DynamoDb:
    """The side of DynamoDB."""

    def __init__(self, upstream: int, plan: Plan, leases: Leases, fired: Callable[[str], None]) -> None:
        self._upstream = upstream
        self._plan = plan
        self._leases = leases
        self._fired = fired

    async def accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve one client."""
        with suppress(wire.Gone, OSError, BadMessage):
            while await self._turn(reader, writer):
                pass
        writer.close()

    async def _turn(self, reader: StreamReader, writer: StreamWriter) -> bool:
        head = await wire.read_request_head(reader)
        if head.waits:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request = head.request.with_body(await wire.read_request_body(reader, head))
        answer = await self._answer(request)
        if answer is None:
            wire.reset(writer)
            return False
        writer.write(encode_response(answer, keeps_open=head.keeps_open))
        await writer.drain()
        return head.keeps_open

    async def _answer(self, request: Request) -> Response | None:
        if not self._leases.is_write(request.field("x-amz-target"), request.body):
            return await self._forward(request)
        checkpoint = self._leases.checkpoint_in(request.body)
        fault = self._plan.due((*(CHECKPOINT_FAULTS if checkpoint else ()), *LEASE_FAULTS))
        if fault in {None, _ANSWER_LOST}:
            return await self._written(request, checkpoint, loses_answer=fault is not None)
        if fault == _TIMED_OUT:
            await asyncio.sleep(_HANG_SECONDS)
        self._fired(str(fault))
        return _REFUSALS.get(str(fault))

    async def _written(
        self, request: Request, checkpoint: tuple[str, str, int] | None, *, loses_answer: bool
    ) -> Response | None:
        before = self._leases.snapshot() if checkpoint else ""
        answer = await self._forward(request)
        took_effect = answer is not None and answer.status == answers.OK
        if checkpoint and took_effect:
            self._leases.note(checkpoint, before)
        if not loses_answer:
            return answer
        if not took_effect:
            # Only the answer to what took effect is worth losing.
            self._plan.put_back(_ANSWER_LOST)
            return answer
        self._fired(_ANSWER_LOST)
        return None

    async def _forward(self, request: Request) -> Response | None:
        try:
            return await wire.exchange(self._upstream, request)
        except _NO_ANSWER:
            return None


class Kinesis:
    """The side of Kinesis, an ASGI application: its server speaks HTTP/2 without TLS."""

    def __init__(self, upstream: int, plan: Plan, fired: Callable[[str], None]) -> None:
        self._upstream = upstream
        self._plan = plan
        self._fired = fired

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            return
        body = b""
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        fields = [(name.decode(), value.decode()) for name, value in scope["headers"] if not name.startswith(b":")]
        answer = await self._answer(Request(scope["method"], scope["path"], _end_to_end(fields), body))
        headers = [
            (name.lower().encode(), value.encode())
            for name, value in answer.fields
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}
        ]
        headers.append((b"content-length", str(len(answer.body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, request: Request) -> Response:
        is_read = request.field("x-amz-target") == "Kinesis_20131202.GetRecords"
        fault = self._plan.due(READ_FAULTS) if is_read else None
        if fault is None:
            return await self._forward(request)
        answer = await self._struck(fault, request)
        if answer is None:
            self._plan.put_back(fault)
            return await self._forward(request)
        self._fired(fault)
        return answer

    async def _struck(self, fault: str, request: Request) -> Response | None:
        """Give the struck answer, None where the fault has no effect here."""
        if fault in _READ_REFUSALS:
            return _READ_REFUSALS[fault]
        real = await self._forward(request)
        if fault == "page-repeated":
            return answers.with_the_same_page_next(request, real)
        page = orjson.loads(real.body) if real.status == answers.OK else {}
        if not page.get("Records"):
            return None
        # As if the shard had nothing just here: the page comes with the next read.
        page |= {"Records": [], "NextShardIterator": orjson.loads(request.body)["ShardIterator"]}
        return real.with_body(orjson.dumps(page))

    async def _forward(self, request: Request) -> Response:
        try:
            return await wire.exchange(self._upstream, request)
        except _NO_ANSWER as error:
            return answers.error(500, answers.INTERNAL, type(error).__name__)


def _end_to_end(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    hop = {"connection", "content-length", "transfer-encoding", "te", "upgrade", "http2-settings"}
    return [(name, value) for name, value in fields if name.lower() not in hop]


async def _run(arguments: argparse.Namespace) -> None:
    plan, ended = Plan(), asyncio.Event()
    leases = Leases(arguments.table, arguments.office, arguments.journal)

    def fired(fault: str) -> None:
        _tell(fired=fault)

    dynamodb = DynamoDb(arguments.dynamodb, plan, leases, fired)
    server = await asyncio.start_server(dynamodb.accept, wire.LOOPBACK, 0)
    (port,) = free_ports(1)
    config = Config()
    config.bind = [f"{wire.LOOPBACK}:{port}"]
    config.accesslog = config.errorlog = None
    serving = asyncio.create_task(serve(Kinesis(arguments.kinesis, plan, fired), config, shutdown_trigger=ended.wait))
    _tell(dynamodb=server.sockets[0].getsockname()[1], kinesis=port)
    loop = asyncio.get_running_loop()
    orders = StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        plan.hear(json.loads(line))
    ended.set()
    server.close()
    await serving


def _tell(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read the arguments, and stand in between until stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kcl_between")
    parser.add_argument("--dynamodb", type=int, required=True)
    parser.add_argument("--kinesis", type=int, required=True)
    parser.add_argument("--table", required=True)
    parser.add_argument("--office", required=True)
    parser.add_argument("--journal", type=Path, required=True)
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
