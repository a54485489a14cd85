"""A stream of records of any size, behind Kinesis's own protocol: the emulator takes none beyond 1 MiB."""

import base64
import json
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class LargeStream:
    """Answers GetShardIterator and GetRecords of one shard on a loopback port, a record in each page."""

    def __init__(self, records: Sequence[bytes]) -> None:
        pages = [_page(number, record) for number, record in enumerate(records, start=1)]

        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.headers["X-Amz-Target"].endswith(".GetRecords"):
                    answer = pages[int(asked["ShardIterator"])]
                else:
                    answer = b'{"ShardIterator": "0"}'
                self.send_response(200)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name that it has
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.last = len(records)
        self._thread = threading.Thread(target=self._server.serve_forever, name="large-stream")
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _page(number: int, record: bytes) -> bytes:
    answer = {
        "Records": [
            {
                "SequenceNumber": str(number),
                "ApproximateArrivalTimestamp": 1_356_998_400.0,
                "Data": base64.b64encode(record).decode(),
                "PartitionKey": "lane-001",
            }
        ],
        "NextShardIterator": str(number),
        "MillisBehindLatest": 0,
    }
    return json.dumps(answer).encode()
