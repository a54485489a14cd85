"""The publisher against a null server, beside boto3 as one would write it."""

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.rows import Row, against, interleaved
from isthmus import aws
from isthmus.clock import SystemClock
from isthmus.lifecycle import ThreadStop
from isthmus.metrics import Metrics
from isthmus.producer.kinesis import KinesisSink
from isthmus.producer.lanes import Lanes, Limits
from isthmus.producer.publisher import Publisher
from isthmus.producer.threads import ThreadExecutor
from isthmus.retry import Backoff

CHANGE_BYTES = 250
LANES = 64
CHANGES = 40_000
SINGLES = 300
BATCH = 500
"""Records in one PutRecords (Kinesis quotas)."""


def rows(rounds: int) -> list[Row]:
    """Measure changes per second."""
    stop, clock, chance = ThreadStop(), SystemClock(), random.Random(1)  # noqa: S311 - jitter of a benchmark
    event = b'{"data":"' + b"x" * (CHANGE_BYTES - 11) + b'"}'
    with _null_server() as url:
        access = aws.AwsAccess(endpoint_url=url, region="us-east-1", access_key_id="x", secret="x")  # noqa: S106 - no secret
        client = aws.client(access, "kinesis")
        unpaced = Limits(shard_bytes_per_second=None, shard_records_per_second=None)
        executor = ThreadExecutor(2, stop=stop, clock=clock)

        def ours() -> int:
            publisher = Publisher(
                Lanes(LANES, unpaced, Backoff(), chance),
                KinesisSink(client, "null", LANES),
                executor,
                source="bench",
                clock=clock,
                metrics=Metrics(),
            )
            offered = 0
            while offered < CHANGES or not publisher.idle():
                while offered < CHANGES and publisher.room():
                    publisher.offer(offered % LANES, event, offered)
                    offered += 1
                publisher.pump(0.01)
            return CHANGES

        def put_records() -> int:
            for first in range(0, CHANGES // 4, BATCH):
                client.put_records(
                    StreamName="null",
                    Records=[{"Data": event, "PartitionKey": f"key-{first + each}"} for each in range(BATCH)],
                )
            return CHANGES // 4

        def put_record() -> int:
            for each in range(SINGLES):
                client.put_record(StreamName="null", Data=event, PartitionKey=f"key-{each}")
            return SINGLES

        rates = interleaved(
            rounds, {"ours": lambda: ours, "put_records": lambda: put_records, "put_record": lambda: put_record}
        )
        executor.close()
    return [
        against(
            "publisher, against put_records of 500",
            rates["ours"],
            rates["put_records"],
            "changes/s",
            wanted=3.0,
            note="order kept per lane; boto3's loop keeps none",
        ),
        against("publisher, against put_record", rates["ours"], rates["put_record"], "changes/s"),
    ]


@contextmanager
def _null_server() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.nullserver"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        if server.stdout is None or server.stdin is None:
            raise RuntimeError("the null server has no pipes")
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.stdin.close()
