"""The port through which a stream is resharded."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from isthmus.consumer.feed import Shard
from isthmus.errors import Refused

ACTIVE: Final = "ACTIVE"
"""The only status in which a stream takes a step (Kinesis API, SplitShard and MergeShards)."""


class StreamState(NamedTuple):
    """What a stream says of itself."""

    status: str
    """CREATING, DELETING, ACTIVE or UPDATING (Kinesis API, StreamStatus)."""
    provisioned: bool
    """False: on demand, where Kinesis itself decides about shards."""


class Objected(Refused):
    """Kinesis takes this step to be wrong.

    Either it is, or the stream has changed since it was looked at: a step that took effect, whose answer was lost, is
    objected to when it is asked for again.
    """


class Reshardable(Protocol):
    """A stream whose shards can be split and merged, one step at a time.

    Every method raises `Transient` when it is to be tried again (also: somebody else is at work on the stream),
    `Missing` when the stream is not there, and `Fatal` where the credentials do not allow it, naming the action.
    """

    def state(self) -> StreamState:
        """Say in which state the stream is."""
        ...

    def shards(self) -> Sequence[Shard]:
        """Give all shards that the stream still lists, parents before children, with their ranges."""
        ...

    def split(self, shard: str, at: int) -> None:
        """Ask for two shards in the place of an open one; the second begins at this hash key.

        Returns when Kinesis has accepted it: it is done when the stream is active again. Not safe to repeat blindly,
        but harmless: a shard is split once, and the second request raises `Objected`. Raises `Refused` too where the
        account may have no more shards.
        """
        ...

    def merge(self, lower: str, upper: str) -> None:
        """Ask for one shard in the place of two open neighbours. As `split`."""
        ...

    def room(self) -> int | None:
        """Give how many more shards the account may open; None where it does not say, or may not be asked."""
        ...
