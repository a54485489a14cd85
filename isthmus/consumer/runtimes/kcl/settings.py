"""The numbers of a child, with where each comes from."""

from dataclasses import dataclass, field

from isthmus.retry import Backoff


@dataclass(frozen=True, slots=True)
class ChildSettings:
    """Seconds."""

    checkpoint_interval: float = 5.0
    """At most one checkpoint of a shard in this time. Each is a write to the shard's row of the lease table, which the
    library writes every `failoverTimeMillis` / 3 (3.3 s by default) anyway; what a crash repeats is what lies after the
    last one, and a change that comes again has no second effect."""
    stop_patience: float = 15.0
    """How long batches may go on coming after the first that was not decided. A daemon that stops asks for nothing more
    within its grace of 10 s; one that does not stop would have this shard stand still for ever."""
    backoff: Backoff = field(default_factory=Backoff)
    """Between two attempts at what cannot be put off: opening the front office, and the shard's end."""
