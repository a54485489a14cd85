"""Every error code and class, and what happens next."""

import builtins
import socket
from typing import Any

import botocore.exceptions
import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from isthmus.aws_errors import BY_CLASS, BY_CODE, classify, error_code
from isthmus.errors import Fatal, IsthmusError, Missing, Poison, TargetDown, Transient

EXPECTED: dict[tuple[type[IsthmusError], str], tuple[str, ...]] = {
    (Transient, "throttled"): (
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "LimitExceededException",
        "SlowDown",
        "BandwidthLimitExceeded",
        "OverLimit",
        "KMSThrottlingException",
        "KmsThrottled",
        "KMS.ThrottlingException",
    ),
    (TargetDown, "server-error"): (
        "InternalFailure",
        "InternalFailureException",
        "InternalServerError",
        "InternalError",
        "ServiceUnavailable",
        "ServiceUnavailableException",
    ),
    (TargetDown, "timeout"): ("RequestTimeout", "RequestTimeoutException"),
    (Transient, "in-use"): ("ResourceInUseException",),
    (Transient, "conflict"): (
        "TransactionConflictException",
        "TransactionInProgressException",
        "ReplicatedWriteConflictException",
        "OperationAborted",
    ),
    (Transient, "credentials"): ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"),
    (Transient, "clock-skew"): ("RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture"),
    (Missing, ""): (
        "ResourceNotFoundException",
        "TableNotFoundException",
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "NoSuchBucket",
        "404",
    ),
    (Fatal, ""): (
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "403",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
        "KMSAccessDeniedException",
        "KMSDisabledException",
        "KMSInvalidStateException",
        "KMSNotFoundException",
        "KMSOptInRequired",
        "KmsAccessDenied",
        "KmsDisabled",
        "KmsInvalidState",
        "KmsNotFound",
        "KmsOptInRequired",
        "InvalidAction",
        "InvalidArgumentException",
        "InvalidParameterException",
        "InvalidParameterValue",
        "ItemCollectionSizeLimitExceededException",
        "MissingParameter",
        "SerializationException",
        "UnknownOperationException",
        "ValidationError",
        "ValidationException",
    ),
}
ROWS = [(code, kind, cause) for (kind, cause), codes in EXPECTED.items() for code in codes]


def client_error(code: str, *, status: int = 400, operation: str = "PutRecords", message: str = "Why.") -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)


@pytest.mark.parametrize("code, kind, cause", ROWS)
def test_a_code_says_what_happens_next(code: str, kind: type[IsthmusError], cause: str) -> None:
    error = classify(client_error(code))
    assert type(error) is kind
    assert getattr(error, "cause", "") == cause
    assert str(error).startswith(f"PutRecords: {code}: Why.")
    if kind is Missing:
        assert error.hint == "Run `isthmus setup`."
    if kind is Fatal:
        assert error.hint


def test_every_code_of_the_table_is_expected_here() -> None:
    assert {code for code, _, _ in ROWS} == set(BY_CODE)


@pytest.mark.parametrize(
    "status, kind, cause",
    [
        (500, TargetDown, "server-error"),
        (503, TargetDown, "server-error"),
        (429, Transient, "throttled"),
        (408, TargetDown, "timeout"),
    ],
)
def test_an_unknown_code_is_judged_by_its_status(status: int, kind: type[Transient], cause: str) -> None:
    error = classify(client_error("NeverHeardOf", status=status))
    assert type(error) is kind
    assert getattr(error, "cause", "") == cause


def test_an_unknown_code_without_a_telling_status_is_unknown() -> None:
    error = classify(client_error("NeverHeardOf"))
    assert type(error) is Transient
    assert error.cause == "unknown"


@pytest.mark.parametrize("code", ["InvalidSignatureException", "SignatureDoesNotMatch"])
@pytest.mark.parametrize("message", ["Signature expired: 20130101", "Signature not yet current: 20130101"])
def test_a_signature_of_a_wrong_clock_is_tried_again(code: str, message: str) -> None:
    error = classify(client_error(code, message=message))
    assert isinstance(error, Transient)
    assert (error.cause, error.hint) == ("clock-skew", "Set this machine's clock.")


def test_shards_beyond_the_quota_are_fatal_only_where_a_stream_is_made() -> None:
    assert type(classify(client_error("LimitExceededException", operation="CreateStream"))) is Fatal
    assert type(classify(client_error("LimitExceededException", operation="ListShards"))) is Transient


@pytest.mark.parametrize(
    "error, kind, cause",
    [
        (botocore.exceptions.EndpointConnectionError(endpoint_url="x"), TargetDown, "unreachable"),
        (botocore.exceptions.ProxyConnectionError(proxy_url="x"), TargetDown, "unreachable"),
        (botocore.exceptions.ConnectionClosedError(endpoint_url="x"), TargetDown, "connection-lost"),
        (botocore.exceptions.HTTPClientError(error="x"), TargetDown, "connection-lost"),
        (botocore.exceptions.ResponseStreamingError(error="x"), TargetDown, "connection-lost"),
        (botocore.exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), TargetDown, "connection-lost"),
        (botocore.exceptions.ReadTimeoutError(endpoint_url="x"), TargetDown, "timeout"),
        (botocore.exceptions.ConnectTimeoutError(endpoint_url="x"), TargetDown, "timeout"),
        (botocore.exceptions.SSLError(endpoint_url="x", error=ValueError("x")), TargetDown, "tls"),
        (ResponseParserError("<html>"), TargetDown, "server-error"),
        (ConnectionRefusedError(), TargetDown, "unreachable"),
        (ConnectionResetError(), TargetDown, "connection-lost"),
        (TimeoutError(), TargetDown, "timeout"),
        (socket.gaierror(-2, "Name or service not known"), TargetDown, "unreachable"),
        (botocore.exceptions.CredentialRetrievalError(provider="x", error_msg="x"), Transient, "credentials"),
        (botocore.exceptions.TokenRetrievalError(provider="x", error_msg="x"), Transient, "credentials"),
        (botocore.exceptions.MetadataRetrievalError(error_msg="x"), Transient, "credentials"),
        (botocore.exceptions.NoCredentialsError(), Fatal, ""),
        (botocore.exceptions.PartialCredentialsError(provider="x", cred_var="x"), Fatal, ""),
        (botocore.exceptions.ProfileNotFound(profile="x"), Fatal, ""),
        (botocore.exceptions.NoRegionError(), Fatal, ""),
        (botocore.exceptions.InvalidRegionError(region_name="x"), Fatal, ""),
        (botocore.exceptions.UnauthorizedSSOTokenError(), Fatal, ""),
        (botocore.exceptions.SSOTokenLoadError(error_msg="x"), Fatal, ""),
        (botocore.exceptions.ParamValidationError(report="x"), Fatal, ""),
        (ValueError("x"), Transient, "unknown"),
        (botocore.exceptions.UnknownServiceError(service_name="x", known_service_names="y"), Transient, "unknown"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_class_says_what_happens_next(error: Exception, kind: type[IsthmusError], cause: str) -> None:
    ours = classify(error)
    assert type(ours) is kind
    assert getattr(ours, "cause", "") == cause
    assert str(ours).startswith(type(error).__name__)


def test_every_class_of_the_table_exists() -> None:
    known = {*vars(botocore.exceptions), *dir(builtins), "ResponseParserError", socket.gaierror.__name__}
    assert set(BY_CLASS) <= known


@pytest.mark.parametrize("ours", [Poison("bad"), TargetDown("away"), Fatal("no")])
def test_an_error_of_ours_comes_back_as_it_is(ours: IsthmusError) -> None:
    assert classify(ours) is ours


def test_a_long_message_is_cut() -> None:
    assert len(str(classify(client_error("SlowDown", message="x" * 10_000)))) < 400
    assert len(str(classify(ValueError("x" * 10_000)))) < 400


@pytest.mark.parametrize(
    "error, code",
    [(client_error("SlowDown"), "SlowDown"), (ValueError("x"), ""), (ClientError({}, "PutRecords"), "")],
)
def test_the_code_of_an_error_can_be_asked_for(error: Exception, code: str) -> None:
    assert error_code(error) == code
