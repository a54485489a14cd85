"""A Kinesis that accepts everything and keeps nothing: `python -m benchmarks.nullserver`. Prints its port.

Runs in a process of its own, so that its work is not charged to whoever is measured.
"""

import asyncio
import contextlib
import sys

_ONE = b'{"SequenceNumber":"49590338271490256608559692538361571095921575989136588898","ShardId":"shardId-000000000000"}'
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: %d\r\n\r\n"


def answer(body: bytes, target: bytes) -> bytes:
    """Give the answer to a request body."""
    if target.endswith(b"PutRecord"):
        content = _ONE
    else:
        content = b'{"FailedRecordCount":0,"Records":[' + b",".join([_ONE] * body.count(b'"Data"')) + b"]}"
    return _HEAD % len(content) + content


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one connection's requests."""
    with contextlib.suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in head.split(b"\r\n"))
            }
            body = await reader.readexactly(int(headers[b"content-length"]))
            writer.write(answer(body, headers[b"x-amz-target"]))
            await writer.drain()
    writer.close()


async def main() -> None:
    """Serve on a free port of loopback until stdin ends."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 24)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
