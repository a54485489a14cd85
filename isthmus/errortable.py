"""What every error of every adapter means for what happens next: one table, which the adapters ask. Pure.

docs/errors.md shows it, and a test compares the two. The sources of the rows: PostgreSQL, "PostgreSQL Error Codes",
appendix A (the first two characters of a code are its class) · sqlite.org, "Result and Error Codes" · the error lists
of the Kinesis, DynamoDB, SQS and S3 API references, "Common Error Types", and DynamoDB, "TransactWriteItems", Errors ·
botocore.exceptions · RFC 9110 for the HTTP statuses.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from isthmus.errors import UNKNOWN, Fatal, IsthmusError, Missing, Poison, Refused, TargetDown, Transient


class Then(StrEnum):
    """What happens next; see `isthmus.errors`."""

    TRANSIENT = "Transient"
    TARGET_DOWN = "TargetDown"
    POISON = "Poison"
    FATAL = "Fatal"


class Meaning(NamedTuple):
    """What an error means."""

    then: Then
    word: str = ""
    """Its cause (`Transient`, `TargetDown`), its reason (`Poison`), or how it ends the process (`Fatal`)."""
    hint: str = ""

    def error(self, message: str) -> IsthmusError:
        """Give our error for it. The message holds no row value."""
        match self.then:
            case Then.TRANSIENT:
                return Transient(message, cause=self.word, hint=self.hint)
            case Then.TARGET_DOWN:
                return TargetDown(message, cause=self.word, hint=self.hint)
            case Then.POISON:
                return Poison(self.word, message, hint=self.hint)
            case Then.FATAL:
                return _FATAL.get(self.word, Fatal)(message, hint=self.hint)


class Row(NamedTuple):
    """Errors of one meaning."""

    errors: tuple[str, ...]
    meaning: Meaning


MISSING, REFUSED, STATEMENT = "missing", "refused", "statement"
"""How a `Fatal` ends the process: something is missing (exit code 3), does not fit, or is a wrong statement."""
_FATAL = {MISSING: Missing, REFUSED: Refused}

TIMEOUT, UNREACHABLE, LOST = "timeout", "unreachable", "connection-lost"
THROTTLED, CONFLICT, SERVER_ERROR = "throttled", "conflict", "server-error"

_REACH = "Check the way to AWS, and endpoint_url in [aws] if it is set."
_CHECK = "Run `isthmus check`."


def _again(cause: str, *errors: str, hint: str = "") -> Row:
    return Row(errors, Meaning(Then.TRANSIENT, cause, hint))


def _down(cause: str, *errors: str, hint: str = "") -> Row:
    return Row(errors, Meaning(Then.TARGET_DOWN, cause, hint))


def _poison(reason: str, *errors: str) -> Row:
    return Row(errors, Meaning(Then.POISON, reason))


def _fatal(how: str, *errors: str, hint: str = "") -> Row:
    return Row(errors, Meaning(Then.FATAL, how, hint))


POSTGRESQL: tuple[Row, ...] = (
    # others are at work on the same rows, or the server broke off
    _again("serialization", "40001"),
    _again("deadlock", "40P01"),
    _again("unknown-completion", "40003"),
    _again("locked", "55P03"),
    _again("cancelled", "57014"),
    _again("idle-too-long", "25P03", "57P05"),
    _again("transaction-too-long", "25P04"),
    _again("plan-changed", "26000"),
    # the server is away, or can do nothing for anybody
    _down("disk-full", "53100"),
    _down("no-memory", "53200"),
    _down("too-many-connections", "53300"),
    _down("shut-down", "57P01"),
    _down("crashed", "57P02"),
    _down("starting", "57P03"),
    _down("database-dropped", "57P04"),
    _down("read-only", "25006"),
    # what it refuses to us, and not to a change
    _fatal(REFUSED, "28000", "28P01", "3D000", "42501", hint=_CHECK),
    # whole classes, where no row above names the code
    _down("connection", "08", "OperationalError", "InterfaceError"),
    _down("no-resources", "53"),
    _down("shut-down", "57"),
    _down("io-error", "58"),
    _poison("constraint", "23", "27"),
    # two rows that a trigger made one, data exceptions, a view's check option, limits that one value exceeds
    _poison("value", "21", "22", "44", "54"),
    # what only a function of the user's raises
    _poison("trigger", "P0", "09", "2F", "38", "39"),
    _fatal(STATEMENT, "42", "0A", "0L", "2D", "3F", "Error", hint=_CHECK),
)
"""By SQLSTATE: five characters are a code, two a class of codes. An error without one goes by psycopg's class."""

SQLITE: tuple[Row, ...] = (
    _again("busy", "SQLITE_BUSY"),
    _again("locked", "SQLITE_LOCKED"),
    _again("interrupted", "SQLITE_INTERRUPT"),
    _down("disk-full", "SQLITE_FULL"),
    _down("io-error", "SQLITE_IOERR"),
    _down("cannot-open", "SQLITE_CANTOPEN"),
    _down("read-only", "SQLITE_READONLY"),
    _down("busy", "SQLITE_PROTOCOL"),
    _down("no-memory", "SQLITE_NOMEM"),
    _poison("constraint", "SQLITE_CONSTRAINT"),
    _poison("wrong-type", "SQLITE_MISMATCH"),
    _poison("too-large", "SQLITE_TOOBIG"),
    _fatal(STATEMENT, "SQLITE_ERROR", "SQLITE_RANGE", "SQLITE_AUTH", hint=_CHECK),
    _fatal(
        "",
        *("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_PERM", "SQLITE_ABORT", "SQLITE_INTERNAL", "SQLITE_MISUSE"),
        *("SQLITE_SCHEMA", "SQLITE_NOLFS", "SQLITE_FORMAT", "SQLITE_EMPTY", "SQLITE_NOTFOUND"),
        hint=_CHECK,
    ),
)
"""By primary result code: the low byte of an extended one."""

AWS: tuple[Row, ...] = (
    # throttling: Kinesis, DynamoDB, SQS, S3, KMS behind each of them
    _again(
        THROTTLED,
        *("ProvisionedThroughputExceededException", "ThrottlingException", "Throttling", "ThrottledException"),
        *("RequestThrottled", "RequestThrottledException", "RequestLimitExceeded", "TooManyRequestsException"),
        *("LimitExceededException", "SlowDown", "BandwidthLimitExceeded", "OverLimit"),
        *("KMSThrottlingException", "KmsThrottled", "KMS.ThrottlingException"),
    ),
    # the service is away or sick
    _down(
        SERVER_ERROR,
        *("InternalFailure", "InternalFailureException", "InternalServerError", "InternalError"),
        *("ServiceUnavailable", "ServiceUnavailableException"),
    ),
    _down(TIMEOUT, "RequestTimeout", "RequestTimeoutException"),
    # others are at work on the same thing
    _again("in-use", "ResourceInUseException"),
    _again(
        CONFLICT,
        *("TransactionConflictException", "TransactionInProgressException", "ReplicatedWriteConflictException"),
        "OperationAborted",
    ),
    # credentials that a provider renews; a clock that somebody sets
    _again(
        "credentials",
        *("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"),
        hint="The credentials expired; waiting for the provider to renew them.",
    ),
    _again(
        "clock-skew",
        *("RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture"),
        hint="Set this machine's clock.",
    ),
    _fatal(
        MISSING,
        *("ResourceNotFoundException", "TableNotFoundException", "QueueDoesNotExist"),
        *("AWS.SimpleQueueService.NonExistentQueue", "NoSuchBucket", "404"),
        hint="Run `isthmus setup`.",
    ),
    _fatal(
        "",
        *("AccessDenied", "AccessDeniedException", "AuthFailure", "403", "IncompleteSignature"),
        *("IncompleteSignatureException", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidSignatureException"),
        *("MissingAuthenticationToken", "MissingAuthenticationTokenException", "NotAuthorized", "OptInRequired"),
        *("SignatureDoesNotMatch", "UnrecognizedClientException"),
        hint="Check [aws] in the settings, and that these credentials may do this.",
    ),
    _fatal(
        "",
        *("KMSAccessDeniedException", "KMSDisabledException", "KMSInvalidStateException", "KMSNotFoundException"),
        *("KMSOptInRequired", "KmsAccessDenied", "KmsDisabled", "KmsInvalidState", "KmsNotFound", "KmsOptInRequired"),
        hint="Check the state and the policy of the KMS key that encrypts this resource.",
    ),
    # a request that no repeat mends
    _fatal(
        "",
        *("InvalidAction", "InvalidArgumentException", "InvalidParameterException", "InvalidParameterValue"),
        *("ItemCollectionSizeLimitExceededException", "MissingParameter", "SerializationException"),
        *("UnknownOperationException", "ValidationError", "ValidationException"),
        hint="The request itself is wrong: check the settings and the versions of boto3 and Isthmus.",
    ),
)
"""By error code. Codes that are answers (`ConditionalCheckFailedException`, `NoSuchKey` ...) stand in no table."""

AWS_QUOTA = Meaning(Then.FATAL, "", "Ask AWS for a higher quota, or make fewer.")
"""`LimitExceededException` of `CreateStream`: asking again makes no room (CreateStream, Errors)."""

DYNAMODB_TRANSACTION: tuple[Row, ...] = (
    _again(CONFLICT, "TransactionConflict", "TransactionInProgress"),
    _again(THROTTLED, "ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"),
    _poison("constraint", "ValidationError"),
    _poison("too-large", "ItemCollectionSizeLimitExceeded"),
    _poison("handler-condition", "ConditionalCheckFailed"),
)
"""By cancellation reason of one action. `ConditionalCheckFailed` of an action of ours is an answer, and no error."""

BOTOCORE: tuple[Row, ...] = (
    _fatal(
        "", "NoCredentialsError", hint="Set access_key_id and secret_access_key in [aws], or AWS's own environment."
    ),
    _fatal("", "PartialCredentialsError", hint="Set access_key_id and secret_access_key in [aws], or neither."),
    _fatal("", "ProfileNotFound", hint="Check the environment variable AWS_PROFILE."),
    _fatal("", "NoRegionError", "InvalidRegionError", hint="Set region in [aws]."),
    _fatal("", "UnauthorizedSSOTokenError", "SSOTokenLoadError", hint="Run `aws sso login`."),
    _fatal(
        "",
        "ParamValidationError",
        hint="The request itself is wrong: check the settings and the versions of boto3 and Isthmus.",
    ),
    _again(
        "credentials",
        *("CredentialRetrievalError", "TokenRetrievalError", "MetadataRetrievalError"),
        hint="The credentials expired; waiting for the provider to renew them.",
    ),
    _down(TIMEOUT, "ReadTimeoutError", "ConnectTimeoutError", hint=_REACH),
    _down(UNREACHABLE, "EndpointConnectionError", hint=_REACH),
    _down(UNREACHABLE, "ProxyConnectionError"),
    _down(LOST, *("ConnectionClosedError", "ResponseStreamingError", "IncompleteReadError", "HTTPClientError")),
    _down("tls", "SSLError", hint="Check the certificate of the other side and this machine's clock."),
    # botocore.parsers: an answer that is no answer, e.g. a proxy's page
    _down(SERVER_ERROR, "ResponseParserError"),
)
"""By class, the most special one first found along an error's line of ancestors."""

NETWORK: tuple[Row, ...] = (
    _down(TIMEOUT, "TimeoutError"),
    # the name cannot be resolved: `socket.gaierror`
    _down(UNREACHABLE, "gaierror", "ConnectionRefusedError"),
    _down(LOST, "ConnectionError"),
)
"""The standard library's own, by class, from whatever speaks over a network."""

HTTP: tuple[Row, ...] = (
    _down(TIMEOUT, "408"),
    _again(THROTTLED, "429"),
    _down(SERVER_ERROR, "5xx"),
)
"""By status, where an answer has no code that a row names."""

BACK_OFFICE: tuple[Row, ...] = (
    _again("locked", "SQLITE_BUSY", "SQLITE_LOCKED"),
    _again(TIMEOUT, "57014"),
    _fatal(REFUSED, "SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_ERROR", "SQLITE_AUTH", "SQLITE_RANGE"),
    # SQLAlchemy's, and so those of every driver, where no code is named above
    _down("down", "OperationalError", "InterfaceError"),
    _fatal(REFUSED, "DBAPIError"),
)
"""Reading a source: nothing is anybody's poison there. By code, then by SQLAlchemy's class."""

VALUES: tuple[Row, ...] = (
    _poison("contract", "ValidationError"),
    _poison("value", "UnicodeEncodeError", "OverflowError", "DataError"),
    _down("no-memory", "MemoryError"),
)
"""pydantic's and Python's, while a change is checked or bound to a statement."""

TABLE: Mapping[str, tuple[Row, ...]] = {
    "PostgreSQL": POSTGRESQL,
    "SQLite": SQLITE,
    "AWS": AWS,
    "DynamoDB transactions": DYNAMODB_TRANSACTION,
    "botocore": BOTOCORE,
    "Network": NETWORK,
    "HTTP": HTTP,
    "Back office": BACK_OFFICE,
    "Values": VALUES,
}
"""By adapter, as docs/errors.md shows it."""

UNKNOWN_TO_AN_ADAPTER = Meaning(Then.TRANSIENT, UNKNOWN)
"""What no row names: tried again, and `Fatal` when it came five times in a row (`isthmus.attempts`)."""


def meanings(rows: tuple[Row, ...]) -> dict[str, Meaning]:
    """Give the meaning by error. Raises ValueError for an error that stands in two rows."""
    found: dict[str, Meaning] = {}
    for errors, meaning in rows:
        for error in errors:
            if error in found:
                raise ValueError(f"{error} stands in two rows")
            found[error] = meaning
    return found


def by_class(kind: type[BaseException], table: Mapping[str, Meaning]) -> Meaning | None:
    """Give the meaning of the most special class that the table names, along the line of ancestors; or None."""
    return next((table[each.__name__] for each in kind.__mro__ if each.__name__ in table), None)


def by_sqlstate(code: str) -> Meaning | None:
    """Give the meaning of a SQLSTATE: its own, or else that of its class; or None."""
    return _SQLSTATES.get(code) or _SQLSTATES.get(code[:2])


def by_status(status: int) -> Meaning | None:
    """Give the meaning of an HTTP status, or None where it says nothing by itself."""
    return _STATUSES.get(str(status)) or _STATUSES.get(f"{status // 100}xx")


def lines() -> Iterator[tuple[str, str, str, str]]:
    """Give adapter, errors, what happens next and the word, for every row: what docs/errors.md must show."""
    for adapter, rows in TABLE.items():
        for errors, meaning in rows:
            yield adapter, " ".join(errors), meaning.then.value, meaning.word


_SQLSTATES = meanings(POSTGRESQL)
_STATUSES = meanings(HTTP)
