"""The stream as the consumer sees it: ListShards, GetShardIterator and GetRecords of Kinesis Data Streams."""

from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from isthmus.aws import classify, error_code
from isthmus.consumer.feed import Fetched, IteratorExpired, Record, Shard, Trimmed
from isthmus.errors import IsthmusError, Transient

if TYPE_CHECKING:
    from types_boto3_kinesis import KinesisClient


class KinesisFeed:
    """Reads the shards of a stream. Safe for several threads, as the client is."""

    def __init__(self, client: "KinesisClient", stream_name: str) -> None:
        self._client = client
        self._stream = stream_name

    def shards(self) -> list[Shard]:
        """Give all shards that the stream still lists, parents before children."""
        listed: dict[str, Shard] = {}
        # A token stands for the whole request: the API refuses one that comes with a stream name.
        request: dict[str, Any] = {"StreamName": self._stream}
        while request:
            try:
                answer = self._client.list_shards(**request)
            except Exception as error:
                raise _meaning(error) from error
            for item in answer["Shards"]:
                hashes: Any = item.get("HashKeyRange", {})
                parents = (item.get("ParentShardId"), item.get("AdjacentParentShardId"))
                listed[item["ShardId"]] = Shard(
                    id=item["ShardId"],
                    parents=tuple(parent for parent in parents if parent),
                    closed=bool(item["SequenceNumberRange"].get("EndingSequenceNumber")),
                    first_hash=hashes.get("StartingHashKey", ""),
                    last_hash=hashes.get("EndingHashKey", ""),
                )
            token = answer.get("NextToken")
            request = {"NextToken": token} if token else {}
        order = TopologicalSorter({shard.id: shard.parents for shard in listed.values()}).static_order()
        return [listed[name] for name in order if name in listed]

    def iterator(self, shard: str, after: str | None) -> str:
        """Give an iterator after a sequence number, or at the oldest record where `after` is None.

        A sequence number beyond retention is no error to Kinesis: reading goes on at the oldest record there is.
        Raises `Trimmed` when the shard itself is beyond retention.
        """
        place: dict[str, Any] = (
            {"ShardIteratorType": "TRIM_HORIZON"}
            if after is None
            else {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": after}
        )
        try:
            return self._client.get_shard_iterator(StreamName=self._stream, ShardId=shard, **place)["ShardIterator"]
        except Exception as error:
            raise _meaning(error) from error

    def fetch(self, iterator: str, limit: int) -> Fetched:
        """Read at most `limit` records (10,000 is the most that Kinesis allows); see `Feed`."""
        try:
            answer = self._client.get_records(ShardIterator=iterator, Limit=limit)
        except Exception as error:
            raise _meaning(error) from error
        return Fetched(
            records=[
                Record(
                    sequence=item["SequenceNumber"],
                    data=item["Data"],
                    partition_key=item["PartitionKey"],
                    arrival_ms=round(item["ApproximateArrivalTimestamp"].timestamp() * 1000),
                )
                for item in answer["Records"]
            ],
            iterator=answer.get("NextShardIterator"),
            behind_ms=answer.get("MillisBehindLatest", 0),
        )


def _meaning(error: Exception) -> IsthmusError:
    """Say what an error means to a reader of shards, before the common table is asked."""
    code = error_code(error)
    if code == "ExpiredIteratorException":
        return IteratorExpired("The shard iterator expired.")
    if code == "ExpiredNextTokenException":
        return Transient("The shard list took more than five minutes to page through.", cause="list-expired")
    # One code says that the stream is missing and that a shard is; only the sentence tells them apart.
    if code == "ResourceNotFoundException" and ": Shard " in str(error):
        return Trimmed("The stream no longer has this shard.")
    return classify(error)
