"""What an error of the AWS client means for what happens next, by the rows of `isthmus.errortable`."""

from collections.abc import Mapping
from typing import Any

from isthmus.errors import IsthmusError
from isthmus.errortable import (
    AWS,
    AWS_QUOTA,
    BOTOCORE,
    NETWORK,
    UNKNOWN_TO_AN_ADAPTER,
    Meaning,
    by_class,
    by_status,
    meanings,
)

_LONGEST_MESSAGE = 300

BY_CODE: Mapping[str, Meaning] = meanings(AWS)
BY_OPERATION: Mapping[tuple[str, str], Meaning] = {("CreateStream", "LimitExceededException"): AWS_QUOTA}
BY_CLASS: Mapping[str, Meaning] = meanings(BOTOCORE + NETWORK)


def error_code(error: BaseException) -> str:
    """Give the AWS error code of a ClientError, e.g. `ResourceNotFoundException`, or the empty string."""
    return str(_details(error).get("Code", ""))


def classify(error: Exception) -> IsthmusError:
    """Give the error of ours that says what happens next.

    An error of ours comes back as it is. What no table knows is a `Transient` with the cause `UNKNOWN`. Adapters
    look first at the codes that are answers for them (`ConditionalCheckFailedException`,
    `ExpiredIteratorException`, `NoSuchKey`): those stand in no table. Raise it with `from error`.
    """
    if isinstance(error, IsthmusError):
        return error
    if code := error_code(error):
        operation = str(getattr(error, "operation_name", ""))
        text = str(_details(error).get("Message", ""))[:_LONGEST_MESSAGE]
        return _by_code(error, code, operation, text).error(f"{operation}: {code}: {text}".rstrip(": ") + ".")
    message = f"{type(error).__name__}: {error}"[:_LONGEST_MESSAGE].rstrip(". ") + "."
    return (by_class(type(error), BY_CLASS) or UNKNOWN_TO_AN_ADAPTER).error(message)


def _by_code(error: Exception, code: str, operation: str, text: str) -> Meaning:
    # Kinesis and DynamoDB report a wrong clock as a wrong signature; only the sentence tells them apart.
    if code in {"InvalidSignatureException", "SignatureDoesNotMatch"} and (
        "Signature expired" in text or "Signature not yet current" in text
    ):
        return BY_CODE["RequestTimeTooSkewed"]
    named = BY_OPERATION.get((operation, code)) or BY_CODE.get(code)
    return named or by_status(_status(error)) or UNKNOWN_TO_AN_ADAPTER


def _details(error: BaseException) -> Mapping[str, Any]:
    response = getattr(error, "response", None)
    details = response.get("Error") if isinstance(response, Mapping) else None
    return details if isinstance(details, Mapping) else {}


def _status(error: BaseException) -> int:
    response: Any = getattr(error, "response", {})
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
