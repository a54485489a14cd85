"""What a front office in DynamoDB is told once, at its start."""

from dataclasses import dataclass, field
from typing import Literal

from isthmus.retry import Backoff


@dataclass(frozen=True, slots=True)
class DynamoSettings:
    """How Isthmus uses the tables of one front office.

    The items of kind `state` are the user's own, and carry attributes of ours. So whatever else writes them must use
    UpdateItem: a PutItem would wipe the version and the tombstone, and an old change that comes again would then
    overwrite a newer one.
    """

    table: str
    """Our own table: parking lot, outbox, ledger, fences, settled IDs, history. `isthmus-<application>` by habit."""
    prefix: str = "isthmus_"
    """What the names of our attributes on the user's items begin with."""
    adopt: bool = False
    """Whether an item without our version is taken over. Else a change of it is parked as `not-ours`."""
    tombstones: Literal["item", "table"] = "item"
    """Where a deleted entity is remembered.

    `item`: on its item, of which all but the key goes; an upsert and a delete cost one write each. Whoever reads the
    table leaves out what carries `isthmus_deleted`. `table`: in our own table, so that nothing of it stays in the
    user's; a delete, and an upsert of what is not there, are a transaction then, and cost four writes.
    """
    oversize: Literal["park", "claim"] = "park"
    """What becomes of an item over 400 KB: parked, or its values written into the payload bucket."""
    parallel: int = 16
    """Keys that are worked on at once, at most. Each request that DynamoDB throttles halves it for a while."""
    memory_ms: int | None = None
    """How long TTL shall leave what decides (tombstones, ledger); None: only pruning deletes it."""
    history_ms: int | None = None
    """The same for the history."""
    attempts: int = 8
    """How often one request is sent when others are in its way, before the whole batch is tried again."""
    backoff: Backoff = field(default_factory=lambda: Backoff(first=0.02, most=2.0))
