"""The oldest records of a stream, as Kinesis gives them."""

from typing import TYPE_CHECKING, Final

from isthmus.aws import classify, error_code
from isthmus.consumer.feed import Feed, IteratorExpired, Record, Trimmed
from isthmus.errors import Missing

if TYPE_CHECKING:
    from types_boto3_kinesis import KinesisClient

_PAGES: Final = 5
"""An answer may be empty though records follow; a record that is asked for by its number comes with the first one."""


class KinesisHorizon:
    """`Horizon` on Kinesis: two small requests, beside whoever reads the shard. `feed` is of the same stream."""

    def __init__(self, client: "KinesisClient", stream_name: str, feed: Feed) -> None:
        self._client = client
        self._stream = stream_name
        self._feed = feed

    def oldest(self, shard: str, sequence: str | None) -> Record | None:
        """Give the record, or the oldest one after it; None too where shard or stream is gone. See the port."""
        try:
            iterator: str | None
            iterator = self._feed.iterator(shard, None) if sequence is None else self._at(shard, sequence)
            for _ in range(_PAGES):
                if iterator is None:
                    return None
                fetched = self._feed.fetch(iterator, 1)
                if fetched.records:
                    return fetched.records[0]
                iterator = fetched.iterator if fetched.behind_ms else None
        except (Trimmed, IteratorExpired, Missing):
            return None
        return None

    def _at(self, shard: str, sequence: str) -> str:
        """Give an iterator at a record, or at the oldest one where Kinesis does not know the number any more."""
        try:
            answer = self._client.get_shard_iterator(
                StreamName=self._stream,
                ShardId=shard,
                ShardIteratorType="AT_SEQUENCE_NUMBER",
                StartingSequenceNumber=sequence,
            )
        except Exception as error:
            # It is documented nowhere whether a number beyond retention is refused.
            if error_code(error) == "InvalidArgumentException":
                return self._feed.iterator(shard, None)
            raise classify(error) from error
        return answer["ShardIterator"]
