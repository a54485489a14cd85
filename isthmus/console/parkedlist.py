"""What commands tell of what is parked, reason by reason. Pure."""

from collections.abc import Iterable
from typing import Any

from isthmus.clock import rfc3339
from isthmus.consumer.stores.reading import ParkedReason


def reasons_as_json(reasons: Iterable[ParkedReason]) -> list[dict[str, Any]]:
    """Give how much is parked for each reason, and since when the oldest of it is."""
    return [
        {"reason": each.reason, "keys": each.keys, "changes": each.changes, "oldest_since": rfc3339(each.since_ms)}
        for each in reasons
    ]
