"""A client of DynamoDB's that breaks off once."""

import threading
from typing import Any

_SENT = {
    "batch_get_item",
    "batch_write_item",
    "delete_item",
    "get_item",
    "put_item",
    "query",
    "transact_get_items",
    "transact_write_items",
    "update_item",
}


class Breaking:
    """A client of which one request raises: before it is sent, or after its answer came."""

    def __init__(self, client: Any, at: int, error: BaseException, only: str, *, after: bool = False) -> None:
        self._client = client
        self._left = at
        self._error = error
        self._only = only
        self._after = after
        self._lock = threading.Lock()

    def happened(self) -> bool:
        return self._left < 0

    def __getattr__(self, name: str) -> Any:
        send = getattr(self._client, name)
        if name not in _SENT or self._only not in name:
            return send

        def request(**wanted: Any) -> Any:
            with self._lock:
                self._left -= 1
                mine = self._left == -1
            if not mine:
                return send(**wanted)
            if self._after:
                send(**wanted)
            raise self._error

        return request
