"""The stream as the producer sees it: PutRecords of Kinesis Data Streams."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isthmus.aws import classify
from isthmus.change import lane_hash_key, lane_partition_key
from isthmus.errors import Transient
from isthmus.producer.sink import Entry, Put

if TYPE_CHECKING:
    from types_boto3_kinesis import KinesisClient


class KinesisSink:
    """Puts bundles of lanes into a stream. `lanes` is the number recorded with the stream.

    Safe for several threads, as the client is.
    """

    def __init__(self, client: "KinesisClient", stream_name: str, lanes: int) -> None:
        self._client = client
        self._stream = stream_name
        # A partition key alone would be hashed, and a few hundred hashes do not spread evenly over shards.
        self._places = [(lane_partition_key(lane), lane_hash_key(lane, lanes)) for lane in range(lanes)]

    def put(self, entries: Sequence[Entry]) -> list[Put]:
        """Send the entries in one PutRecords; see `Sink`."""
        try:
            answer = self._client.put_records(
                StreamName=self._stream,
                Records=[
                    {
                        "Data": entry.data,
                        "PartitionKey": self._places[entry.lane][0],
                        "ExplicitHashKey": self._places[entry.lane][1],
                    }
                    for entry in entries
                ],
            )
        except Exception as error:
            raise classify(error) from error
        results = answer["Records"]
        if len(results) != len(entries):
            # Paired by position, a short answer would credit one lane's bundle with another's acceptance.
            raise Transient(f"PutRecords: {len(results)} answers for {len(entries)} entries.", cause="bad-answer")
        return [
            Put(error=result["ErrorCode"])
            if result.get("ErrorCode")
            else Put(shard=result["ShardId"], sequence=result["SequenceNumber"])
            for result in results
        ]
