"""The stream as an operator reshards it: SplitShard, MergeShards and what must be known for them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from isthmus.aws import classify, error_code
from isthmus.console.resharding.port import Objected, StreamState
from isthmus.consumer.feed import Fetched, Shard
from isthmus.consumer.kinesis import KinesisFeed
from isthmus.errors import Fatal, IsthmusError, Refused, Transient

if TYPE_CHECKING:
    from types_boto3_kinesis import KinesisClient

_DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "NotAuthorized"})
_OBJECTIONS: Final = frozenset({"InvalidArgumentException", "ValidationException"})
_ON_DEMAND: Final = "ON_DEMAND"


class KinesisShards:
    """Implements `Reshardable`, and reads from a moment on. Safe for several threads, as the client is."""

    def __init__(self, client: "KinesisClient", stream_name: str) -> None:
        self._client = client
        self._stream = stream_name
        self._feed = KinesisFeed(client, stream_name)

    def state(self) -> StreamState:
        """Say in which state the stream is (DescribeStreamSummary: 20 calls a second and account)."""
        answer = self._ask("DescribeStreamSummary", self._client.describe_stream_summary)
        # Read as a plain mapping: an emulator may leave out the newer members.
        summary: dict[str, Any] = dict(answer["StreamDescriptionSummary"])
        mode = summary.get("StreamModeDetails", {}).get("StreamMode")
        return StreamState(str(summary["StreamStatus"]), provisioned=mode != _ON_DEMAND)

    def shards(self) -> Sequence[Shard]:
        """Give all shards that the stream still lists, parents before children."""
        return self._feed.shards()

    def split(self, shard: str, at: int) -> None:
        """Ask for two shards in the place of one; see `Reshardable`."""
        self._ask("SplitShard", self._client.split_shard, ShardToSplit=shard, NewStartingHashKey=str(at))

    def merge(self, lower: str, upper: str) -> None:
        """Ask for one shard in the place of two; see `Reshardable`."""
        self._ask("MergeShards", self._client.merge_shards, ShardToMerge=lower, AdjacentShardToMerge=upper)

    def room(self) -> int | None:
        """Give how many more shards the account may open (DescribeLimits: once a second and account)."""
        try:
            limits: dict[str, Any] = dict(self._client.describe_limits())
        except Exception:  # noqa: BLE001 - asked for comfort: nobody need be allowed to
            return None
        return int(limits["ShardLimit"]) - int(limits["OpenShardCount"])

    def iterator_at(self, shard: str, moment_ms: int) -> str:
        """Give an iterator at the first record that arrived at that moment (milliseconds since 1970) or later."""
        return str(
            self._ask(
                "GetShardIterator",
                self._client.get_shard_iterator,
                ShardId=shard,
                ShardIteratorType="AT_TIMESTAMP",
                Timestamp=datetime.fromtimestamp(moment_ms / 1000, tz=UTC),
            )["ShardIterator"]
        )

    def iterator(self, shard: str, after: str | None) -> str:
        """Give an iterator after a sequence number; see `Feed`."""
        return self._feed.iterator(shard, after)

    def fetch(self, iterator: str, limit: int) -> Fetched:
        """Read at most `limit` records; see `Feed`."""
        return self._feed.fetch(iterator, limit)

    def _ask(self, action: str, request: Callable[..., Any], **arguments: Any) -> Any:
        try:
            return request(StreamName=self._stream, **arguments)
        except Exception as error:
            raise self._meaning(error, action) from error

    def _meaning(self, error: Exception, action: str) -> IsthmusError:
        """Say what an error means to who reshards, before the common table is asked."""
        code = error_code(error)
        wrong = classify(error)
        if code in _DENIED:
            return Fatal(
                f"These credentials may not ask for {action} of the stream {self._stream}.",
                hint=f"Allow kinesis:{action} on it, then run the same again.",
            )
        if code in _OBJECTIONS:
            return Objected(wrong.message)
        # One code says that we ask too often, and that the account may have no more shards.
        if code == "LimitExceededException" and ("shard limit" in wrong.message or self.room() == 0):
            return Refused(
                f"The account may open no more shards: {wrong.message}",
                hint="Ask AWS for a higher quota of shards, then run the same again: it goes on from what is there.",
            )
        if code == "ResourceNotFoundException" and ("shardId " in wrong.message or ": Shard " in wrong.message):
            return Objected(wrong.message)
        if isinstance(wrong, Transient) and code == "ResourceInUseException":
            return Transient(f"{self._stream} is being changed by somebody.", cause=wrong.cause)
        return wrong
