"""Batches that fail in part: taken apart, and their answers put together again. Pure."""

from collections.abc import Collection, Mapping
from typing import Any, Final, Protocol

import orjson

from isthmus.console.proxy import answers
from isthmus.console.proxy.messages import Request, Response

FEWEST: Final = 2
"""Entries of a batch that can fail in part: one at least is refused, and one accepted."""


class Batch(Protocol):
    """One kind of batch."""

    def entries(self, request: Request) -> int:
        """Give how many entries it has; 0 where it is none that can be read."""
        ...

    def without(self, request: Request, left_out: Collection[int]) -> Request:
        """Give it without the entries at these places."""
        ...

    def merged(self, request: Request, response: Response, refused: Mapping[int, str]) -> Response:
        """Give the answer to the whole batch: `request` is all of it, `response` what came for the accepted entries."""
        ...


class _Put:
    """PutRecords."""

    def entries(self, request: Request) -> int:
        return answers.entries_of(request)

    def without(self, request: Request, left_out: Collection[int]) -> Request:
        return answers.without_entries(request, left_out)

    def merged(self, _request: Request, response: Response, refused: Mapping[int, str]) -> Response:
        return answers.with_refused_entries(response, refused)


class _Letters:
    """SQS: SendMessageBatch and its like, `Entries` in, `Successful` and `Failed` out."""

    _CODES: Final = {answers.THROTTLED: "RequestThrottled", answers.INTERNAL: "InternalError"}

    def entries(self, request: Request) -> int:
        try:
            entries = orjson.loads(request.body)["Entries"]
            return len(entries) if all(isinstance(entry["Id"], str) for entry in entries) else 0
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return 0

    def without(self, request: Request, left_out: Collection[int]) -> Request:
        batch = orjson.loads(request.body)
        batch["Entries"] = [entry for place, entry in enumerate(batch["Entries"]) if place not in left_out]
        return request.with_body(orjson.dumps(batch))

    def merged(self, request: Request, response: Response, refused: Mapping[int, str]) -> Response:
        answer: dict[str, Any] = orjson.loads(response.body)
        entries = orjson.loads(request.body)["Entries"]
        failed = [
            {
                "Id": entries[place]["Id"],
                "SenderFault": False,
                "Code": self._CODES[code],
                "Message": answers.BY_PLAN,
            }
            for place, code in refused.items()
        ]
        answer["Failed"] = [*(answer.get("Failed") or []), *failed]
        return response.with_body(orjson.dumps(answer))


class _Items:
    """DynamoDB: BatchWriteItem, `RequestItems` in, `UnprocessedItems` out."""

    def entries(self, request: Request) -> int:
        try:
            return sum(len(writes) for writes in orjson.loads(request.body)["RequestItems"].values())
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            return 0

    def without(self, request: Request, left_out: Collection[int]) -> Request:
        return self._with(request, lambda place: place not in left_out)

    def merged(self, request: Request, response: Response, refused: Mapping[int, str]) -> Response:
        answer: dict[str, Any] = orjson.loads(response.body)
        unprocessed: dict[str, list[Any]] = answer.get("UnprocessedItems") or {}
        kept_back = orjson.loads(self._with(request, lambda place: place in refused).body)["RequestItems"]
        for table, writes in kept_back.items():
            unprocessed[table] = [*unprocessed.get(table, []), *writes]
        answer["UnprocessedItems"] = unprocessed
        # A checksum of the service's over an answer that it did not give.
        fields = [(name, value) for name, value in response.fields if name.lower() != "x-amz-crc32"]
        return Response(response.status, response.reason, fields, orjson.dumps(answer))

    def _with(self, request: Request, keeps: Any) -> Request:
        batch = orjson.loads(request.body)
        places = iter(range(self.entries(request)))
        kept = {
            table: [write for write in writes if keeps(next(places))] for table, writes in batch["RequestItems"].items()
        }
        batch["RequestItems"] = {table: writes for table, writes in kept.items() if writes}
        return request.with_body(orjson.dumps(batch))


BATCHES: Final[Mapping[str, Batch]] = {
    "PutRecords": _Put(),
    "BatchWriteItem": _Items(),
    "SendMessageBatch": _Letters(),
    "DeleteMessageBatch": _Letters(),
    "ChangeMessageVisibilityBatch": _Letters(),
}
"""By operation; no two services have one of the same name."""


def can_fail(operation: str, request: Request) -> bool:
    """Say whether a request can fail in part."""
    batch = BATCHES.get(operation)
    return batch is not None and batch.entries(request) >= FEWEST
