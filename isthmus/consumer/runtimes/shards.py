"""A shard's life: its named states, and which shards may be read now. Pure.

`docs/states.md` draws it, and a test compares the two.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from isthmus.checkpoint.ports import ShardCheckpoint
from isthmus.consumer.feed import Shard


class ShardState(StrEnum):
    """Where a shard is in its life, as this application sees it."""

    WAITING = "waiting"
    """An ancestor is not done: what it holds is older, and must be decided first."""
    READY = "ready"
    """All its ancestors are done; nobody reads it yet."""
    READING = "reading"
    """A reader fetches its records and has them decided."""
    ENDING = "ending"
    """Closed, read to its end, every record decided; the checkpoint does not say so yet."""
    ENDED = "ended"
    """The checkpoint says that all of it is decided."""
    TRIMMED = "trimmed"
    """The stream no longer lists it: nothing of it can be read any more."""


MOVES: Mapping[ShardState, frozenset[ShardState]] = {
    ShardState.WAITING: frozenset({ShardState.READY, ShardState.TRIMMED}),
    ShardState.READY: frozenset({ShardState.READING, ShardState.TRIMMED}),
    ShardState.READING: frozenset({ShardState.READY, ShardState.ENDING, ShardState.TRIMMED}),
    ShardState.ENDING: frozenset({ShardState.READY, ShardState.ENDED}),
    ShardState.ENDED: frozenset({ShardState.TRIMMED}),
    ShardState.TRIMMED: frozenset(),
}
"""Every move that there is. A shard that leaves `reading` or `ending` for `ready` was stopped, and begins again at
its checkpoint."""


class ShardTree:
    """The states of all shards at one moment.

    `shards` is the stream's list, parents before children; `checkpoints` are by shard; `readers` says in which
    state the shards are that are being read now.
    """

    def __init__(
        self, shards: Sequence[Shard], checkpoints: Mapping[str, ShardCheckpoint], readers: Mapping[str, ShardState]
    ) -> None:
        listed = {shard.id for shard in shards}
        self._states: dict[str, ShardState] = {}
        self._trimmed_early: list[str] = []
        for name in sorted(checkpoints.keys() - listed):
            self._states[name] = ShardState.TRIMMED
            if not checkpoints[name].ended and name not in readers:
                self._trimmed_early.append(name)
        # A reader can outlive its shard's listing: the last page in its hands is older than anything in a child.
        self._states.update(readers)

        done: set[str] = set()
        for shard in shards:
            # "A parent that is not listed is done" covers its own ancestors: they are older, hence gone as well.
            ready = all(parent in done or (parent not in listed and parent not in readers) for parent in shard.parents)
            saved = checkpoints.get(shard.id)
            ended = saved is not None and saved.ended
            if shard.id not in readers:
                self._states[shard.id] = (
                    ShardState.ENDED if ended else ShardState.READY if ready else ShardState.WAITING
                )
                # An end counts only where all ancestors are done too: one whose checkpoint was lost is read again,
                # and its grandchildren must not run ahead of it.
                if ended and ready:
                    done.add(shard.id)

    def states(self) -> Mapping[str, ShardState]:
        """Give the state of each shard that is listed, read, or known from a checkpoint."""
        return self._states

    def ready(self) -> list[str]:
        """Give the shards that may be started now, in the stream's order."""
        return [name for name, state in self._states.items() if state is ShardState.READY]

    def trimmed_early(self) -> list[str]:
        """Give the shards that retention took before they were read to their end: records may be lost."""
        return self._trimmed_early
