"""The settings that the demo writes, for each of its processes. Pure."""

from dataclasses import dataclass
from typing import Literal

import orjson

from isthmus.aws import AwsAccess
from isthmus.console.demo.example import BROKEN_PIPELINES, PIPELINES, SOURCE

Runtime = Literal["local", "kcl"]

STREAM = "flights"
POLL_INTERVAL = 0.2
"""Seconds between two looks at the back office, and between two reads of a shard."""
FAILOVER_SECONDS = 3.0
"""How long a lease stands still before another worker takes it. Short, for a demo in which workers are killed."""

PAGE_RECORDS = 20
"""Records in one answer of kinesis-mock. Measured, each megabyte that it takes or gives costs it 0.6 s of a core, in
which it answers nobody else; who has waited for 10 s asks again, and makes it worse. So nothing that goes to and fro
is large, and what is small waits for company."""
_BUNDLE_BYTES = 32 * 1024
_REQUEST_BYTES = 256 * 1024
_LINGER_MS = 200

_EVERYBODY = """\
# Written by `isthmus demo`. Every other command works on it while the demo stays up: isthmus status --config {file}
application = "flights"

[aws]
endpoint_url = "{access.endpoint_url}"
region = "{access.region}"
access_key_id = "{access.access_key_id}"
secret_access_key = "{access.secret}"
answer_timeout = {access.answer}
{endpoints}
[stream]
name = "{stream}"
shards = {shards}

[checkpoint]
table = "isthmus-flights"

[sources.{source}]
pipeline = "{pipeline}"
url = "sqlite:///back-office.db"
table = "FLTMST"
key = ["CARR", "FLTNO", "DEPDT", "ORIG"]
cursor = "UPDSEQ"
order = "commit"
poll_interval = {poll_interval}

[sources.{source}.references.airports]
table = "APTREF"
key = "FAA"

[sources.{source}.references.carriers]
table = "CARREF"
key = "CARR"

[entities.flight]
table = "flight"
version_column = "version"
process = "operations"

[store]
url = "{store_url}"
history = true

[consumer]
runtime = "{runtime}"
poll_interval = {poll_interval}
{consumer}{kcl}{gate}
[publisher]
# The emulator has no write limit to keep.
pace_shards = false
{publisher}
[metrics]
producer_port = {producer_port}
consumer_port = {consumer_port}
"""

_KCL = """
[kcl]
failover_time = {failover}
jars = {jars}
{worker}"""

_GATE = """
[gate]
watched = true
"""

_SMALL_RECORDS = f"max_records = {PAGE_RECORDS}\n"
_SMALL_REQUESTS = f"""\
# kinesis-mock is slow with large requests, and with many.
max_bundle_bytes = {_BUNDLE_BYTES}
max_request_bytes = {_REQUEST_BYTES}
requests_in_flight = 2
linger_ms = {_LINGER_MS}
"""


@dataclass(frozen=True, slots=True)
class Written:
    """What one process's settings say. Ports are where metrics are served."""

    access: AwsAccess
    shards: int
    store: str
    """The kind of front office."""
    store_url: str
    producer_port: int
    consumer_port: int
    runtime: Runtime = "local"
    jars: str = ""
    """The folder of the KCL's jars."""
    worker: str = ""
    """How this worker is called; nothing: as its host."""
    gates: bool = False
    """Whether consumers look at gates."""
    broken: bool = False
    """Whether the translator is the one with a defect."""

    def text(self, file: str) -> str:
        """Give the text of the file of that name."""
        kcl = _KCL.format(
            failover=FAILOVER_SECONDS,
            # A path may hold what a string of TOML must not.
            jars=orjson.dumps(self.jars).decode(),
            worker=f'worker = "{self.worker}"\n' if self.worker else "",
        )
        endpoints = "".join(f'endpoints.{service} = "{url}"\n' for service, url in self.access.endpoints.items())
        return _EVERYBODY.format(
            file=file,
            access=self.access,
            endpoints=endpoints,
            stream=STREAM,
            shards=self.shards,
            source=SOURCE,
            pipeline=(BROKEN_PIPELINES if self.broken else PIPELINES)[self.store],
            poll_interval=POLL_INTERVAL,
            store_url=self.store_url,
            runtime=self.runtime,
            consumer=_SMALL_RECORDS if self.runtime == "kcl" else "",
            kcl=kcl if self.runtime == "kcl" else "",
            gate=_GATE if self.gates else "",
            publisher=_SMALL_REQUESTS if self.runtime == "kcl" else "",
            producer_port=self.producer_port,
            consumer_port=self.consumer_port,
        )
