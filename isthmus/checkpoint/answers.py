"""The sentences of the checkpoint floor's refusals: the same from every adapter."""

from isthmus.checkpoint.ports import NO_STREAM, Lease, ShardCheckpoint
from isthmus.errors import OwnershipLost, Refused
from isthmus.stream import StreamIdentity

NEW_STREAM = "Run `isthmus setup --new-stream`."


def lost(name: str, epoch: int, standing: Lease | None) -> OwnershipLost:
    """Give the error for a write of an epoch that does not hold the lease; `standing` is what is there instead."""
    if standing is None:
        return OwnershipLost(f"{name}: the lease of epoch {epoch} is no longer there.")
    if standing.holder is None and standing.epoch == epoch:
        return OwnershipLost(f"{name}: the lease of epoch {epoch} was given back.")
    if standing.holder is None:
        return OwnershipLost(
            f"{name}: epoch {epoch} was followed by {standing.epoch} of generation {standing.generation}, "
            "which nobody holds now."
        )
    return OwnershipLost(f"{name}: epoch {epoch} was followed by {standing.epoch}, held by {standing.holder}.")


def lost_race(lease: Lease) -> OwnershipLost:
    """Give the error for a take-over in which another was quicker."""
    return OwnershipLost(f"{lease.name}: another was quicker to take it; epoch {lease.epoch} was not written.")


def no_hand_over() -> OwnershipLost:
    """Give the error for a hand-over that is no longer recorded."""
    return OwnershipLost("The hand-over to the Kinesis Client Library was forgotten meanwhile.")


def other_stream(what: str, standing: StreamIdentity, asked: StreamIdentity) -> Refused:
    """Give the refusal of state that belongs to another stream than the one at hand."""
    return Refused(
        f"{what} belongs to the stream {standing.arn} made at {standing.created}, "
        f"not to {asked.arn} made at {asked.created}.",
        hint=NEW_STREAM,
    )


def check_stream(lease: Lease, asked: StreamIdentity) -> None:
    """Raise `Refused` for a lease that belongs to another stream than the one at hand."""
    if lease.stream not in {asked, NO_STREAM}:
        raise other_stream(f"The lease {lease.name}", lease.stream, asked)


def other_stream_of(standing: ShardCheckpoint, asked: StreamIdentity) -> Refused:
    """Give the refusal of a shard checkpoint that belongs to another stream."""
    return other_stream(f"The checkpoint of {standing.shard}", standing.stream, asked)
