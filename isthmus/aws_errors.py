"""What an error of the AWS client means for what happens next: one table by error code, one by class.

The sources are the error lists of the Kinesis, DynamoDB, SQS and S3 API references and "Common Error Types".
"""

from collections.abc import Callable, Mapping
from typing import Any

from isthmus.errors import UNKNOWN, Fatal, IsthmusError, Missing, TargetDown, Transient

_LONGEST_MESSAGE = 300
_SERVER_ERROR = 500
_TOO_MANY_REQUESTS = 429

_Verdict = Callable[[str], IsthmusError]


def _transient(cause: str, hint: str = "") -> _Verdict:
    return lambda message: Transient(message, cause=cause, hint=hint)


def _down(cause: str, hint: str = "") -> _Verdict:
    return lambda message: TargetDown(message, cause=cause, hint=hint)


def _fatal(hint: str = "") -> _Verdict:
    return lambda message: Fatal(message, hint=hint)


def _missing(message: str) -> IsthmusError:
    return Missing(message, hint="Run `isthmus setup`.")


_THROTTLED = _transient("throttled")
_SERVER = _down("server-error")
_CREDENTIALS = _transient("credentials", "The credentials expired; waiting for the provider to renew them.")
_CLOCK = _transient("clock-skew", "Set this machine's clock.")
_DENIED = _fatal("Check [aws] in the settings, and that these credentials may do this.")
_INVALID = _fatal("The request itself is wrong: check the settings and the versions of boto3 and Isthmus.")
_KMS = _fatal("Check the state and the policy of the KMS key that encrypts this resource.")
_QUOTA = _fatal("Ask AWS for a higher quota, or make fewer.")

BY_CODE: Mapping[str, _Verdict] = {
    # throttling: Kinesis, DynamoDB, SQS, S3, KMS behind each of them
    "ProvisionedThroughputExceededException": _THROTTLED,
    "ThrottlingException": _THROTTLED,
    "Throttling": _THROTTLED,
    "ThrottledException": _THROTTLED,
    "RequestThrottled": _THROTTLED,
    "RequestThrottledException": _THROTTLED,
    "RequestLimitExceeded": _THROTTLED,
    "TooManyRequestsException": _THROTTLED,
    "LimitExceededException": _THROTTLED,
    "SlowDown": _THROTTLED,
    "BandwidthLimitExceeded": _THROTTLED,
    "OverLimit": _THROTTLED,
    "KMSThrottlingException": _THROTTLED,
    "KmsThrottled": _THROTTLED,
    "KMS.ThrottlingException": _THROTTLED,
    # the service is away or sick
    "InternalFailure": _SERVER,
    "InternalFailureException": _SERVER,
    "InternalServerError": _SERVER,
    "InternalError": _SERVER,
    "ServiceUnavailable": _SERVER,
    "ServiceUnavailableException": _SERVER,
    "RequestTimeout": _down("timeout"),
    "RequestTimeoutException": _down("timeout"),
    # others are at work on the same thing
    "ResourceInUseException": _transient("in-use"),
    "TransactionConflictException": _transient("conflict"),
    "TransactionInProgressException": _transient("conflict"),
    "ReplicatedWriteConflictException": _transient("conflict"),
    "OperationAborted": _transient("conflict"),
    # credentials that a provider renews; a clock that somebody sets
    "ExpiredToken": _CREDENTIALS,
    "ExpiredTokenException": _CREDENTIALS,
    "TokenRefreshRequired": _CREDENTIALS,
    "RequestExpired": _CLOCK,
    "RequestTimeTooSkewed": _CLOCK,
    "RequestInTheFuture": _CLOCK,
    # not there
    "ResourceNotFoundException": _missing,
    "TableNotFoundException": _missing,
    "QueueDoesNotExist": _missing,
    "AWS.SimpleQueueService.NonExistentQueue": _missing,
    "NoSuchBucket": _missing,
    "404": _missing,
    # not allowed
    "AccessDenied": _DENIED,
    "AccessDeniedException": _DENIED,
    "AuthFailure": _DENIED,
    "403": _DENIED,
    "IncompleteSignature": _DENIED,
    "IncompleteSignatureException": _DENIED,
    "InvalidAccessKeyId": _DENIED,
    "InvalidClientTokenId": _DENIED,
    "InvalidSignatureException": _DENIED,
    "MissingAuthenticationToken": _DENIED,
    "MissingAuthenticationTokenException": _DENIED,
    "NotAuthorized": _DENIED,
    "OptInRequired": _DENIED,
    "SignatureDoesNotMatch": _DENIED,
    "UnrecognizedClientException": _DENIED,
    "KMSAccessDeniedException": _KMS,
    "KMSDisabledException": _KMS,
    "KMSInvalidStateException": _KMS,
    "KMSNotFoundException": _KMS,
    "KMSOptInRequired": _KMS,
    "KmsAccessDenied": _KMS,
    "KmsDisabled": _KMS,
    "KmsInvalidState": _KMS,
    "KmsNotFound": _KMS,
    "KmsOptInRequired": _KMS,
    # a request that no repeat mends
    "InvalidAction": _INVALID,
    "InvalidArgumentException": _INVALID,
    "InvalidParameterException": _INVALID,
    "InvalidParameterValue": _INVALID,
    "ItemCollectionSizeLimitExceededException": _INVALID,
    "MissingParameter": _INVALID,
    "SerializationException": _INVALID,
    "UnknownOperationException": _INVALID,
    "ValidationError": _INVALID,
    "ValidationException": _INVALID,
}

BY_OPERATION: Mapping[tuple[str, str], _Verdict] = {
    # "more shards than are authorized for your account": asking again makes no room (CreateStream, Errors)
    ("CreateStream", "LimitExceededException"): _QUOTA,
}

_REACH = "Check the way to AWS, and endpoint_url in [aws] if it is set."

BY_CLASS: Mapping[str, _Verdict] = {
    # botocore.exceptions, the most special class first found along an error's line of ancestors
    "NoCredentialsError": _fatal("Set access_key_id and secret_access_key in [aws], or AWS's own environment."),
    "PartialCredentialsError": _fatal("Set access_key_id and secret_access_key in [aws], or neither."),
    "ProfileNotFound": _fatal("Check the environment variable AWS_PROFILE."),
    "NoRegionError": _fatal("Set region in [aws]."),
    "InvalidRegionError": _fatal("Set region in [aws]."),
    "UnauthorizedSSOTokenError": _fatal("Run `aws sso login`."),
    "SSOTokenLoadError": _fatal("Run `aws sso login`."),
    "CredentialRetrievalError": _CREDENTIALS,
    "TokenRetrievalError": _CREDENTIALS,
    "MetadataRetrievalError": _CREDENTIALS,
    "ParamValidationError": _INVALID,
    "ReadTimeoutError": _down("timeout", _REACH),
    "ConnectTimeoutError": _down("timeout", _REACH),
    "EndpointConnectionError": _down("unreachable", _REACH),
    "ConnectionClosedError": _down("connection-lost"),
    "ProxyConnectionError": _down("unreachable"),
    "SSLError": _down("tls", "Check the certificate of the other side and this machine's clock."),
    "ResponseStreamingError": _down("connection-lost"),
    "IncompleteReadError": _down("connection-lost"),
    "HTTPClientError": _down("connection-lost"),
    # botocore.parsers: an answer that is no answer, e.g. a proxy's page
    "ResponseParserError": _SERVER,
    # the standard library's, from reading a body
    "TimeoutError": _down("timeout"),
    "ConnectionRefusedError": _down("unreachable"),
    "ConnectionError": _down("connection-lost"),
}


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
        return _by_code(error, code, operation, text)(f"{operation}: {code}: {text}".rstrip(": ") + ".")
    message = f"{type(error).__name__}: {error}"[:_LONGEST_MESSAGE].rstrip(". ") + "."
    for ancestor in type(error).__mro__:
        if verdict := BY_CLASS.get(ancestor.__name__):
            return verdict(message)
    return Transient(message, cause=UNKNOWN)


def _by_code(error: Exception, code: str, operation: str, text: str) -> _Verdict:
    # Kinesis and DynamoDB report a wrong clock as a wrong signature; only the sentence tells them apart.
    if code in {"InvalidSignatureException", "SignatureDoesNotMatch"} and (
        "Signature expired" in text or "Signature not yet current" in text
    ):
        return _CLOCK
    if verdict := BY_OPERATION.get((operation, code)) or BY_CODE.get(code):
        return verdict
    status = _status(error)
    if status >= _SERVER_ERROR:
        return _SERVER
    if status == _TOO_MANY_REQUESTS:
        return _THROTTLED
    return _transient(UNKNOWN)


def _details(error: BaseException) -> Mapping[str, Any]:
    response = getattr(error, "response", None)
    details = response.get("Error") if isinstance(response, Mapping) else None
    return details if isinstance(details, Mapping) else {}


def _status(error: BaseException) -> int:
    response: Any = getattr(error, "response", {})
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
