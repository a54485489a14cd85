"""Registered consumers of a stream, as the embedded emulator plays them, and the commands that list and remove them.

No emulator at hand lets the library read by one (SubscribeToShard), and kinesis-mock at times never ends a removal.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber
from click.testing import CliRunner, Result

from isthmus.chance import unique_name
from isthmus.console.commands.fan_out import fan_out
from isthmus.console.kcl.fanout import consumers_of, is_registered, remove
from isthmus.errors import Fatal, Missing, Refused
from isthmus.lifecycle import Stopped, ThreadStop
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.emulator import Emulator

OURS = "isthmus-shop-kcl"
REGISTERED = datetime(2013, 1, 1, tzinfo=UTC)
ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/shop"
SETTINGS = """
application = "shop"
[aws]
endpoint_url = "{url}"
region = "us-east-1"
access_key_id = "test"
secret_access_key = "test"
[stream]
name = "{stream}"
[sources.customers]
pipeline = "isthmus_examples.customers.pipeline:customers"
url = "sqlite:///back-office.db"
table = "CUST"
key = "CUSTNO"
cursor = "CHGNO"
order = "commit"
[entities.customer]
table = "customer"
[store]
url = "sqlite:///front-office.db"
[kcl]
retrieval = "{retrieval}"
"""


class Stream(NamedTuple):
    client: Any
    url: str
    name: str
    arn: str

    def register(self, name: str) -> None:
        self.client.register_stream_consumer(StreamARN=self.arn, ConsumerName=name)


@pytest.fixture
def stream(emulator: Emulator) -> Iterator[Stream]:
    client, name = emulator.client("kinesis"), f"fan-out-{unique_name()}"
    client.create_stream(StreamName=name, ShardCount=1)
    client.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
    arn = client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
    yield Stream(client, emulator.url, name, arn)
    client.delete_stream(StreamName=name)


@pytest.fixture
def command(stream: Stream, tmp_path: Path) -> Callable[..., Result]:
    """Give what runs `isthmus fan-out`; what it raises is raised."""

    def run(*words: str, retrieval: str = "polling", answer: str = "") -> Result:
        file = tmp_path / "isthmus.toml"
        text = SETTINGS.format(url=stream.url, stream=stream.name, retrieval=retrieval)
        file.write_text(text, encoding="utf-8")
        arguments = [*words, "--config", str(file)]
        return CliRunner().invoke(fan_out, arguments, input=answer, catch_exceptions=False, standalone_mode=False)

    return run


def test_consumers_are_listed_by_name_and_removed_one_by_one(stream: Stream) -> None:
    stop = ThreadStop()
    assert consumers_of(stream.client, stream.arn) == []
    for name in ("another", OURS):
        stream.register(name)
    listed = consumers_of(stream.client, stream.arn)
    assert [each.name for each in listed] == ["another", OURS]
    assert all(each.since.endswith("Z") and each.status == "ACTIVE" for each in listed)
    assert is_registered(stream.client, stream.arn, OURS)
    assert remove(stream.client, stream.arn, OURS, stop=stop)
    assert not remove(stream.client, stream.arn, OURS, stop=stop)
    assert [each.name for each in consumers_of(stream.client, stream.arn)] == ["another"]


def test_the_command_lists_and_says_which_is_ours(stream: Stream, command: Callable[..., Result]) -> None:
    assert "no registered consumers" in command("list").output
    stream.register(OURS)
    stream.register("another")
    said = command("list").output
    assert "2 registered consumers" in said
    rows = json.loads(command("list", "--json").output)["consumers"]
    assert [(row["name"], row["ours"]) for row in rows] == [("another", False), (OURS, True)]


def test_the_command_removes_what_was_agreed_to_and_nothing_that_this_application_reads_by(
    stream: Stream, command: Callable[..., Result]
) -> None:
    stream.register(OURS)
    with pytest.raises(Refused, match="reads by the consumer"):
        command("remove", OURS, "--yes", retrieval="fan-out")
    assert command("remove", OURS, answer="n\n").return_value == 1
    assert is_registered(stream.client, stream.arn, OURS)
    assert command("remove", OURS, answer="y\n").return_value == 0
    assert not is_registered(stream.client, stream.arn, OURS)
    with pytest.raises(Missing, match="no registered consumer"):
        command("remove", OURS, "--yes")


# what no emulator does


@pytest.fixture
def stub() -> Iterator[Stubber]:
    client = boto3.client(
        "kinesis",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - never sent anywhere
        config=Config(retries={"total_max_attempts": 1}),
    )
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()
    client.close()


def listing(stub: Stubber, *names: str, status: str = "ACTIVE", asked: str = "", then: str = "") -> None:
    consumers = [
        {
            "ConsumerName": name,
            "ConsumerARN": f"{ARN}/{name}",
            "ConsumerStatus": status,
            "ConsumerCreationTimestamp": REGISTERED,
        }
        for name in names
    ]
    answer: dict[str, Any] = {"Consumers": consumers} | ({"NextToken": then} if then else {})
    stub.add_response("list_stream_consumers", answer, {"StreamARN": ARN} | ({"NextToken": asked} if asked else {}))


def test_all_pages_are_listed(stub: Stubber) -> None:
    client: Any = stub.client
    listing(stub, "b", then="more")
    listing(stub, "a", asked="more")
    assert [each.name for each in consumers_of(client, ARN)] == ["a", "b"]


def test_a_removal_is_waited_for(stub: Stubber) -> None:
    client: Any = stub.client
    stop = FakeStop(FakeClock())
    stub.add_response("deregister_stream_consumer", {}, {"StreamARN": ARN, "ConsumerName": OURS})
    for _ in range(3):
        listing(stub, OURS, status="DELETING")
    listing(stub)
    assert remove(client, ARN, OURS, stop=stop)
    assert stop.waits == [0.5] * 3


def test_waiting_for_a_removal_ends_with_a_stop_and_not_never(stub: Stubber) -> None:
    client: Any = stub.client
    stop = FakeStop(FakeClock())
    stop.request()
    stub.add_response("deregister_stream_consumer", {})
    listing(stub, OURS, status="DELETING")
    with pytest.raises(Stopped):
        remove(client, ARN, OURS, stop=stop)
    stub.add_response("deregister_stream_consumer", {})
    for _ in range(240):
        listing(stub, OURS, status="DELETING")
    with pytest.raises(Fatal, match="two minutes"):
        remove(client, ARN, OURS, stop=FakeStop(FakeClock()))


def test_who_may_not_look_is_told_of_none(stub: Stubber) -> None:
    client: Any = stub.client
    stub.add_client_error("list_stream_consumers", "AccessDeniedException")
    assert not is_registered(client, ARN, OURS)
