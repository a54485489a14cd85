"""The reshard in the middle of the live phase: every shard is split, then two neighbours are merged."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from isthmus import aws
from isthmus.clock import Clock
from isthmus.console.demo.standing import Saved, drained_of
from isthmus.consumer.feed import Feed, Shard
from isthmus.errors import Fatal

if TYPE_CHECKING:
    from types_boto3_kinesis import KinesisClient

PATIENCE_SECONDS: Final = 600.0
"""For the shards that a step closed to be read to their end: 5 to 15 s, and far more where others use the machine."""


class Step(NamedTuple):
    """One step. Shares are of the live phase's modifications: a good part is written to each generation of shards."""

    due: float
    """The share at which it may begin."""
    horizon: float
    """The share that is not lived beyond before it begins."""


SPLIT: Final = Step(0.2, 0.4)
MERGE: Final = Step(0.45, 0.7)


class Reshard:
    """Both steps, each once, when its turn comes and what the step before it closed is read to its end.

    `saved` gives how far each shard is.
    """

    def __init__(
        self,
        kinesis: "KinesisClient",
        stream: str,
        feed: Feed,
        saved: Callable[[], Saved],
        *,
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        self._kinesis = kinesis
        self._stream = stream
        self._feed = feed
        self._saved = saved
        self._clock = clock
        self._say = say
        self._steps = [(SPLIT, self._splits), (MERGE, self._merge)]
        self._acting: list[Callable[[], object]] | None = None
        """Requests of the step in hand that are still to come; None: no step is in hand."""
        self._draining_since: float | None = None
        self.counts = [len(self._open())]
        """How many shards were open: at the beginning, and after each step."""

    def left(self) -> bool:
        """Say whether a step is still to come, or to be read."""
        return bool(self._steps) or self._acting is not None or self._draining_since is not None

    def horizon(self) -> float:
        """Give the share of the live phase that shall not be lived beyond as it stands."""
        return self._steps[0][0].horizon if self._steps else 1.0

    def advance(self, share: float) -> None:
        """Go on a little, without waiting; `share` is how much is lived.

        Raises `Fatal` when a closed shard is not read to its end, and what `aws.classify` makes of a refusal.
        """
        if self._acting is not None:
            self._act(self._acting)
        elif self._draining_since is not None:
            self._look(self._clock.monotonic() - self._draining_since)
        elif self._steps and share >= self._steps[0][0].due:
            _, step = self._steps.pop(0)
            self._acting = step()

    def closed(self) -> int:
        """Give how many shards are closed."""
        return sum(shard.closed for shard in self._feed.shards())

    def drained(self) -> list[str]:
        """Give the closed shards that are read to their end."""
        return drained_of(self._feed.shards(), self._saved())

    def _act(self, left: list[Callable[[], object]]) -> None:
        # While a stream is updated the next request is refused (Kinesis API, SplitShard, ResourceInUseException).
        if aws.describe_stream(self._kinesis, self._stream).status != "ACTIVE":
            return
        if left:
            try:
                left.pop(0)()
            except Exception as error:
                raise aws.classify(error) from error
            return
        self._acting, self._draining_since = None, self._clock.monotonic()
        self.counts.append(len(self._open()))
        self._say(f"the stream has {self.counts[-1]} shards now, where it had {self.counts[-2]}")

    def _look(self, seconds: float) -> None:
        shards = self._feed.shards()
        drained = drained_of(shards, self._saved())
        reading = [shard.id for shard in shards if shard.closed and shard.id not in drained]
        if not reading:
            self._draining_since = None
            self._say(f"the shards that were closed are read to their end, {seconds:.1f} s later")
        elif seconds > PATIENCE_SECONDS:
            raise Fatal(f"Closed {seconds:.0f} s ago, and not read to their end: {', '.join(reading)}.")

    def _splits(self) -> list[Callable[[], object]]:
        return [
            partial(
                self._kinesis.split_shard,
                StreamName=self._stream,
                ShardToSplit=shard.id,
                NewStartingHashKey=middle_of(shard),
            )
            for shard in self._open()
        ]

    def _merge(self) -> list[Callable[[], object]]:
        one, other = neighbours(self._open())
        merge = self._kinesis.merge_shards
        return [partial(merge, StreamName=self._stream, ShardToMerge=one.id, AdjacentShardToMerge=other.id)]

    def _open(self) -> list[Shard]:
        return [shard for shard in self._feed.shards() if not shard.closed]


def middle_of(shard: Shard) -> str:
    """Give the first hash key of the upper half of a shard's range."""
    return str((int(shard.first_hash) + int(shard.last_hash) + 1) // 2)


def neighbours(shards: Sequence[Shard]) -> tuple[Shard, Shard]:
    """Give two open shards whose ranges touch: the lowest two."""
    one, other, *_ = sorted(shards, key=lambda shard: int(shard.first_hash))
    return one, other
