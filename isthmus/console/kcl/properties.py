"""What the daemon is told: the settings as Java properties. Pure.

Each default of ours that differs from the library's own stands here with its reason.
"""

import sys
from collections.abc import Mapping
from typing import Final

from isthmus.settings import Settings

PARENT_POLL_MS: Final = 500
"""How often a child shard looks whether its parents are done; the library's 10 s would be most of a reshard's time."""
SHARD_SYNC_MS: Final = 10_000
"""How often the leader looks for shards without a lease. ListShards may be called 1,000 times a second."""
ASSIGN_MS: Final = (1_000, 2_000)
"""How often the leader gives free leases away, at least and at most: each time it reads the lease table."""
REPORT_MS: Final = 1_000
"""How often a worker says that it lives: one small write to DynamoDB each time. The leader gives it nothing before."""
GRACE_MS: Final = 7_500
"""How long shards may take to come to rest at SIGTERM. The library's 0 would not wait at all; ten seconds are promised
for the whole."""


def properties(settings: Settings, worker: str, program: str) -> dict[str, str]:
    """Give the daemon's properties by name. `program` is what it starts for each shard; it cuts it at blanks.

    Credentials are not among them: they go through the environment, which nobody else may read.
    """
    kcl, access = settings.kcl, settings.aws.access
    failover = round(kcl.failover_time * 1000)
    made = {
        "executableName": program,
        "processingLanguage": f"python/{sys.version_info.major}.{sys.version_info.minor}",
        "applicationName": kcl.table,
        "streamName": settings.stream.name,
        "workerId": worker,
        "AwsCredentialsProvider": "DefaultCredentialsProvider",
        "initialPositionInStream": "LATEST" if kcl.start == "latest" else "TRIM_HORIZON",
        "failoverTimeMillis": str(failover),
        # The library's twice the failover time would leave what is free without a reader for as long.
        "leaseAssignmentIntervalMillis": str(min(max(ASSIGN_MS[0], failover // 2), ASSIGN_MS[1])),
        # A worker that has not reported yet gets no lease: the library's 30 s would be most of a start.
        "workerMetricsReporterFreqInMillis": str(REPORT_MS),
        "shardSyncIntervalMillis": str(SHARD_SYNC_MS),
        "parentShardPollIntervalMillis": str(PARENT_POLL_MS),
        # We made the leases before it started.
        "skipShardSyncAtWorkerInitializationIfLeasesExist": "true",
        "schedulerInitializationBackoffTimeMillis": "1000",
        "taskBackoffTimeMillis": "200",
        "shutdownGraceMillis": str(GRACE_MS),
        # Without it the last checkpoint of a burst would wait for whatever comes next.
        "callProcessRecordsEvenForEmptyRecordList": "true",
        # CloudWatch would be one more service to reach, to pay and to be allowed; ours are Prometheus's.
        "metricsLevel": "NONE",
        # By CPU load, quiet streams would hand their leases round and round (amazon-kinesis-client, PR 1814).
        "disableWorkerMetrics": "true",
        # An owner that is asked to hand over before it has begun to read keeps the lease for ever, and nobody reads the
        # shard (amazon-kinesis-client, PR 1743). Taken away at once, a lease costs some changes decided a second time.
        "isGracefulLeaseHandoffEnabled": "false",
        "validateSequenceNumberBeforeCheckpointing": "false",
    }
    made |= _retrieval(settings)
    if access.region is not None:
        made["regionName"] = access.region
    for name, service in (("kinesisEndpoint", "kinesis"), ("dynamoDBEndpoint", "dynamodb")):
        endpoint = access.endpoint(service)
        if endpoint is not None:
            made[name] = endpoint
    return made


def _retrieval(settings: Settings) -> dict[str, str]:
    # Unset, the library would register an enhanced fan-out consumer, which AWS bills.
    if settings.kcl.retrieval == "fan-out":
        return {"retrievalMode": "FANOUT", "consumerName": settings.kcl.table}
    return {
        "retrievalMode": "POLLING",
        "maxRecords": str(settings.consumer.max_records),
        "idleTimeBetweenReadsInMillis": str(round(settings.consumer.poll_interval * 1000)),
    }


def as_text(made: Mapping[str, str]) -> str:
    """Give properties as a file of Java's: ISO 8859-1, everything else escaped (java.util.Properties.load)."""
    return "".join(f"{name} = {_escaped(value)}\n" for name, value in made.items())


def _escaped(value: str) -> str:
    # Blanks are skipped at the beginning alone. A backslash begins an escape anywhere.
    kept = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    if kept.startswith((" ", "\f")):
        kept = "\\" + kept
    return "".join(
        letter if letter.isascii() else "".join(f"\\u{unit:04x}" for unit in _utf16(letter)) for letter in kept
    )


def _utf16(letter: str) -> list[int]:
    raw = letter.encode("utf-16-be")
    return [int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 2)]
