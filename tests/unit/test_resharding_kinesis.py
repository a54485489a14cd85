"""What Kinesis' errors mean to who reshards; the right answers are those of a real server, in the integration test."""

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from isthmus.console.resharding.kinesis import KinesisShards
from isthmus.console.resharding.port import Objected, StreamState
from isthmus.errors import Fatal, IsthmusError, Missing, Refused, TargetDown, Transient

OF_A_SHARD = "Shard shardId-000000000000 in stream s under account 1 has already been merged or split"
NO_ROOM = "This request would exceed the shard limit for the account 1 in eu-central-1"


class Client:
    """Stands in for boto3's: raises what it was told, or answers."""

    def __init__(self, error: Exception | None = None, limits: dict[str, int] | None = None) -> None:
        self._error = error
        self._limits = limits
        self.summary: dict[str, Any] = {"StreamStatus": "ACTIVE"}

    def split_shard(self, **_asked: str) -> dict[str, Any]:
        return self._answer({})

    def merge_shards(self, **_asked: str) -> dict[str, Any]:
        return self._answer({})

    def describe_stream_summary(self, **_asked: str) -> dict[str, Any]:
        return self._answer({"StreamDescriptionSummary": self.summary})

    def describe_limits(self) -> dict[str, int]:
        if self._limits is None:
            raise refusal("AccessDeniedException", "no", "DescribeLimits")
        return self._limits

    def _answer(self, answer: dict[str, Any]) -> dict[str, Any]:
        if self._error is not None:
            raise self._error
        return answer


def refusal(code: str, message: str, operation: str = "SplitShard") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def shards(error: Exception | None = None, *, room: int | None = None) -> KinesisShards:
    limits = None if room is None else {"ShardLimit": 200, "OpenShardCount": 200 - room}
    client: Any = Client(error, limits)
    return KinesisShards(client, "flights")


@pytest.mark.parametrize(
    "code, message, room, meaning, sentence",
    [
        ("AccessDeniedException", "no", None, Fatal, "may not ask for SplitShard.*Allow kinesis:SplitShard"),
        ("ResourceNotFoundException", "Stream flights under account 1 not found.", None, Missing, "isthmus setup"),
        ("ResourceNotFoundException", "Could not find shardId shardId-000000000099", None, Objected, "99"),
        ("InvalidArgumentException", OF_A_SHARD, None, Objected, "already been merged or split"),
        ("ValidationException", "Is in On-Demand mode.", None, Objected, "On-Demand"),
        ("ResourceInUseException", "Stream is not ACTIVE.", None, Transient, "is being changed by somebody"),
        ("LimitExceededException", NO_ROOM, None, Refused, "no more shards.*higher quota.*goes on from what is there"),
        ("LimitExceededException", "Too much at once.", 0, Refused, "no more shards.*Too much at once"),
        ("LimitExceededException", "Too much at once.", 7, Transient, "Too much at once"),
        ("LimitExceededException", "Too much at once.", None, Transient, "Too much at once"),
        ("ThrottlingException", "Rate exceeded.", None, Transient, "Rate exceeded"),
    ],
)
def test_an_error_says_what_happens_next(
    code: str, message: str, room: int | None, meaning: type[IsthmusError], sentence: str
) -> None:
    with pytest.raises(IsthmusError, match=sentence) as caught:
        shards(refusal(code, message), room=room).split("shardId-000000000000", 5)
    assert type(caught.value) is meaning


def test_what_is_denied_is_named_by_its_own_action() -> None:
    with pytest.raises(Fatal, match="Allow kinesis:MergeShards"):
        shards(refusal("AccessDeniedException", "no", "MergeShards")).merge("a", "b")
    with pytest.raises(Fatal, match="Allow kinesis:DescribeStreamSummary"):
        shards(refusal("AccessDeniedException", "no")).state()


def test_an_answer_that_is_lost_is_one_of_somebody_who_is_away() -> None:
    with pytest.raises(TargetDown):
        shards(EndpointConnectionError(endpoint_url="https://kinesis")).split("a", 5)


@pytest.mark.parametrize(
    "mode, provisioned", [({}, True), ({"StreamMode": "PROVISIONED"}, True), ({"StreamMode": "ON_DEMAND"}, False)]
)
def test_a_stream_is_on_demand_only_where_it_says_so(mode: dict[str, str], provisioned: bool) -> None:  # noqa: FBT001 - a case
    client: Any = Client()
    client.summary = {"StreamStatus": "UPDATING", "StreamModeDetails": mode} if mode else {"StreamStatus": "UPDATING"}
    assert KinesisShards(client, "flights").state() == StreamState("UPDATING", provisioned)


def test_who_may_not_ask_for_the_accounts_limits_does_not_know_them() -> None:
    assert shards().room() is None
    assert shards(room=12).room() == 12
