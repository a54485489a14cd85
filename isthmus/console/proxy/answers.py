"""What AWS would answer, and PutRecords taken apart and put together again. Pure."""

from collections.abc import Collection, Mapping
from typing import Any, Final

import orjson

from isthmus.console.proxy.kinds import THROTTLES, Kind, Service
from isthmus.console.proxy.messages import Request, Response

OK = 200
_REDIRECT = 300
THROTTLED = "ProvisionedThroughputExceededException"
INTERNAL = "InternalFailure"
BY_PLAN: Final = "By the plan of the fault proxy."

_JSON: Final[Mapping[Service, str]] = {
    Service.KINESIS: "application/x-amz-json-1.1",
    Service.DYNAMODB: "application/x-amz-json-1.0",
    Service.SQS: "application/x-amz-json-1.0",
}
_DYNAMODB: Final = "com.amazonaws.dynamodb.v20120810#"
_SQS: Final = "com.amazonaws.sqs#"
_ERRORS: Final[Mapping[tuple[Service, Kind], tuple[int, str]]] = {
    (Service.KINESIS, Kind.ERROR): (500, INTERNAL),
    (Service.KINESIS, Kind.UNAVAILABLE): (503, "ServiceUnavailable"),
    (Service.KINESIS, Kind.EXPIRED): (400, "ExpiredIteratorException"),
    (Service.DYNAMODB, Kind.ERROR): (500, f"{_DYNAMODB}InternalServerError"),
    (Service.DYNAMODB, Kind.UNAVAILABLE): (503, "com.amazon.coral.service#ServiceUnavailableException"),
    (Service.SQS, Kind.ERROR): (500, f"{_SQS}InternalError"),
    (Service.SQS, Kind.UNAVAILABLE): (503, f"{_SQS}ServiceUnavailable"),
    (Service.S3, Kind.ERROR): (500, "InternalError"),
    (Service.S3, Kind.UNAVAILABLE): (503, "ServiceUnavailable"),
}
_NAMESPACES: Final = {"ThrottlingException": "com.amazon.coral.availability#"}
"""DynamoDB's own codes have its own namespace; this one comes from the framework before it."""


def error(status: int, code: str, message: str, content: str = _JSON[Service.KINESIS]) -> Response:
    """Give an error as the JSON protocol of Kinesis and DynamoDB writes it."""
    body = orjson.dumps({"__type": code, "message": message})
    return Response(status, "", [("Content-Type", content)], body)


def refusal(service: Service, kind: Kind, code: str, method: str) -> Response:
    """Give what the service says when it throttles, fails or is away; `code` is for a throttle, empty: the usual one.

    The statuses and codes are those of "Common errors" in the API references of the four services.
    """
    status, code = _throttle(service, code) if kind is Kind.THROTTLE else _ERRORS[service, kind]
    if service is Service.S3:
        return _xml(status, code, method)
    answer = error(status, code, BY_PLAN, _JSON[service])
    if service is Service.SQS:
        # The name of the error in the protocol before JSON, which SDKs still show (botocore: awsQueryCompatible).
        whose = "Receiver" if status >= 500 else "Sender"  # noqa: PLR2004 - HTTP's border
        answer.fields.append(("x-amzn-query-error", f"{code.removeprefix(_SQS)};{whose}"))
    return answer


def _throttle(service: Service, code: str) -> tuple[int, str]:
    code = code or THROTTLES[service][0]
    match service:
        case Service.S3:
            return 503, code
        case Service.DYNAMODB:
            return 400, _NAMESPACES.get(code, _DYNAMODB) + code
        case Service.SQS:
            return 400, _SQS + code
        case _:
            return 400, code


def _xml(status: int, code: str, method: str) -> Response:
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{BY_PLAN}</Message>'
        "<RequestId>0000000000000000</RequestId></Error>"
    )
    fields = [("Content-Type", "application/xml")]
    # The answer to HEAD only speaks of its body.
    return Response(status, "", fields, length=len(text)) if method == "HEAD" else _body(status, fields, text)


def _body(status: int, fields: list[tuple[str, str]], text: str) -> Response:
    return Response(status, "", fields, text.encode())


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


def with_refused_entries(response: Response, refused: Mapping[int, str]) -> Response:
    """Give the answer to the whole PutRecords: the refused entries with their codes between what was accepted."""
    answer: dict[str, Any] = orjson.loads(response.body)
    accepted = iter(answer["Records"])
    answer["Records"] = [
        {"ErrorCode": refused[place], "ErrorMessage": BY_PLAN} if place in refused else next(accepted)
        for place in range(len(answer["Records"]) + len(refused))
    ]
    answer["FailedRecordCount"] = int(answer.get("FailedRecordCount") or 0) + len(refused)
    return response.with_body(orjson.dumps(answer))


def took_effect(service: Service, response: Response) -> bool:
    """Say whether a request was accepted, and none of its entries refused. Raises `ValueError` for what is no JSON."""
    if not OK <= response.status < _REDIRECT:
        return False
    if service is Service.S3 or not response.body:
        return True
    answer = orjson.loads(response.body)
    return not any(answer.get(name) for name in ("FailedRecordCount", "Failed", "UnprocessedItems"))


def with_the_same_page_next(request: Request, response: Response) -> Response | None:
    """Give the answer of a GetRecords so that its page comes again; None where there is nothing on it."""
    if response.status != OK:
        return None
    answer = orjson.loads(response.body)
    if not answer.get("Records"):
        return None
    answer["NextShardIterator"] = orjson.loads(request.body)["ShardIterator"]
    return response.with_body(orjson.dumps(answer))
