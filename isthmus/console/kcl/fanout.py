"""Registered consumers of the stream: what enhanced fan-out is for Kinesis, and for AWS's bill.

The library registers one at the first start with `kcl.retrieval = "fan-out"`, and never removes it. AWS bills it by the
hour and shard for as long as it is registered, whether anybody reads by it or not.
"""

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from isthmus.aws import classify, error_code
from isthmus.clock import rfc3339
from isthmus.errors import Fatal, IsthmusError
from isthmus.lifecycle import Stop, Stopped

if TYPE_CHECKING:
    from types_boto3_kinesis import KinesisClient

_POLL_SECONDS: Final = 0.5
_POLLS: Final = 240
"""Two minutes: a consumer is `DELETING` for some seconds."""


class FanOutConsumer(NamedTuple):
    """One registered consumer."""

    name: str
    status: str
    """CREATING, ACTIVE or DELETING (Kinesis API, Consumer)."""
    since: str
    """RFC 3339: when it was registered."""


def consumers_of(client: "KinesisClient", stream_arn: str) -> list[FanOutConsumer]:
    """Give all registered consumers of a stream, by name (ListStreamConsumers: 5 calls a second and stream).

    Raises what `isthmus.aws.classify` makes of a failure.
    """
    found: list[FanOutConsumer] = []
    request: dict[str, Any] = {"StreamARN": stream_arn}
    while True:
        try:
            answer = client.list_stream_consumers(**request)
        except Exception as error:
            raise classify(error) from error
        for each in answer["Consumers"]:
            since = rfc3339(round(each["ConsumerCreationTimestamp"].timestamp() * 1000))
            found.append(FanOutConsumer(each["ConsumerName"], str(each["ConsumerStatus"]), since))
        if not answer.get("NextToken"):
            return sorted(found)
        request["NextToken"] = answer["NextToken"]


def remove(client: "KinesisClient", stream_arn: str, name: str, *, stop: Stop) -> bool:
    """Remove a registered consumer and wait until it is gone. False: there was none of that name.

    Raises `Stopped`, `Fatal` when it is still there after two minutes, and what `isthmus.aws.classify` gives.
    """
    try:
        client.deregister_stream_consumer(StreamARN=stream_arn, ConsumerName=name)
    except Exception as error:
        if error_code(error) == "ResourceNotFoundException":
            return False
        raise classify(error) from error
    for _ in range(_POLLS):
        if all(each.name != name for each in consumers_of(client, stream_arn)):
            return True
        if stop.wait(_POLL_SECONDS):
            raise Stopped
    raise Fatal(f"The consumer {name} is not gone after two minutes.", hint="Look at it: isthmus fan-out list")


def is_registered(client: "KinesisClient", stream_arn: str, name: str) -> bool:
    """Say whether a consumer of that name is still registered; False also where that cannot be known.

    Whoever does not read by it need not be allowed to look for it.
    """
    try:
        return any(each.name == name for each in consumers_of(client, stream_arn))
    except IsthmusError:
        return False
