"""What AWS would answer, and PutRecords taken apart and put together again. Pure."""

from collections.abc import Collection
from typing import Any

import orjson

from isthmus.console.proxy.messages import Request, Response

OK = 200
THROTTLED = "ProvisionedThroughputExceededException"
INTERNAL = "InternalFailure"


def error(status: int, code: str, message: str) -> Response:
    """Give an error as the JSON protocol of Kinesis and DynamoDB writes it."""
    body = orjson.dumps({"__type": code, "message": message})
    return Response(status, "", [("Content-Type", "application/x-amz-json-1.1")], body)


def entries_of(request: Request) -> int:
    """Give how many entries a PutRecords has; 0 where it is none that can be read."""
    try:
        return len(orjson.loads(request.body)["Records"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return 0


def without_entries(request: Request, left_out: Collection[int]) -> Request:
    """Give the PutRecords without the entries at these places."""
    put = orjson.loads(request.body)
    put["Records"] = [entry for place, entry in enumerate(put["Records"]) if place not in left_out]
    return request.with_body(orjson.dumps(put))


def with_refused_entries(response: Response, refused: dict[int, str]) -> Response:
    """Give the answer to the whole PutRecords: the refused entries with their codes between what was accepted."""
    answer: dict[str, Any] = orjson.loads(response.body)
    accepted = iter(answer["Records"])
    answer["Records"] = [
        {"ErrorCode": refused[place], "ErrorMessage": "By the plan of the fault proxy."}
        if place in refused
        else next(accepted)
        for place in range(len(answer["Records"]) + len(refused))
    ]
    answer["FailedRecordCount"] = int(answer.get("FailedRecordCount") or 0) + len(refused)
    return response.with_body(orjson.dumps(answer))


def refuses_none(response: Response) -> bool:
    """Say whether a PutRecords was accepted whole."""
    return response.status == OK and not orjson.loads(response.body).get("FailedRecordCount")


def with_the_same_page_next(request: Request, response: Response) -> Response | None:
    """Give the answer of a GetRecords so that its page comes again; None where there is nothing on it."""
    if response.status != OK:
        return None
    answer = orjson.loads(response.body)
    if not answer.get("Records"):
        return None
    answer["NextShardIterator"] = orjson.loads(request.body)["ShardIterator"]
    return response.with_body(orjson.dumps(answer))
