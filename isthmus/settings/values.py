"""The kinds of values that stand in the settings, and the sentence for each that does not fit."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn
from urllib.parse import quote, unquote

from pydantic import AfterValidator, BeforeValidator, PlainValidator, SecretStr, ValidationInfo
from pydantic_core import PydanticCustomError

from isthmus.addresses import endpoint_objection
from isthmus.settings.databases import address_objection, is_folder
from isthmus.settings.postgres import is_postgres, normalised, postgres_objection

OUR_SENTENCE = "isthmus"
"""The type of an error whose message is already the sentence to show."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,47}", re.ASCII)
NAME_ALLOWED = "1 to 48 lower-case letters, digits, - or _, a letter first"
_WORD = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
_AWS_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)
_QUEUE_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}", re.ASCII)
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_REGION = re.compile(r"(?!-|[0-9]+$)[A-Za-z0-9-]{1,63}(?<!-)", re.ASCII)
"""It becomes a label of AWS's host names (RFC 1123, section 2.1)."""
_HOST_NAME = re.compile(r"(?=.{1,253}$)(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*", re.ASCII)
_OBJECT = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_DATABASE_URL = re.compile(r"(?P<dialect>[a-z][a-z0-9_]*)(\+[a-z0-9_]+)?://.*", re.DOTALL)
_SQLITE_URL = re.compile(r"(?P<head>sqlite(\+[a-z0-9_]+)?:///)(?P<path>[^?]*)(?P<query>\?.*)?", re.DOTALL)
_ATTRIBUTE_PREFIX = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", re.ASCII)
_LONGEST_IDENTIFIER = 128
_LONGEST_SCHEMA = 63
"""PostgreSQL, "Identifiers and Key Words": it would cut what is longer, without a word."""
_HIGHEST_CURSOR = 10**30 - 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where the settings were read: what relative paths and references in them mean."""

    file: Path
    environ: Mapping[str, str]
    dialects: bool = True
    """Whether SQLAlchemy is asked for the dialect of each database address."""

    @property
    def folder(self) -> Path:
        """The folder that relative paths start from."""
        return self.file.parent


def wrong(sentence: str) -> NoReturn:
    """Refuse a value with a sentence that says what is allowed."""
    # Braces would be taken for places to fill in.
    raise PydanticCustomError(OUR_SENTENCE, "{sentence}", {"sentence": sentence})


def _resolved(value: Any, info: ValidationInfo[Place]) -> Any:
    """Follow `{env = "NAME"}` and `{file = "PATH"}`; leave anything else as it is."""
    if not isinstance(value, dict):
        return value
    place = info.context
    match value:
        case {"env": str(name), **rest} if not rest:
            text = place.environ.get(name)
            if text is None:
                wrong(f"the environment variable {name} is not set")
            origin = f"the environment variable {name}"
        case {"file": str(name), **rest} if not rest:
            try:
                text = (place.folder / name).read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
                wrong(f"the file {name} cannot be read: {reason}")
            origin = f"the file {name}"
        case _:
            wrong('must be text in quotes, {env = "NAME"} or {file = "PATH"}')
    if not text:
        wrong(f"{origin} is empty")
    return text


def is_name(value: object) -> bool:
    """Say whether this is a name of ours: of an application, a source, an entity type, a process."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _matching(pattern: re.Pattern[str], allowed: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            wrong(f"must be {allowed}")
        return text

    return AfterValidator(check)


def between(least: float, most: float, unit: str = "") -> AfterValidator:
    """Give a check that a number lies between two bounds, both allowed. NaN never does."""

    def check(number: float) -> float:
        if not least <= number <= most:
            wrong(f"must be from {least:,} to {most:,} {unit}".rstrip())
        return number

    return AfterValidator(check)


def _identifier(text: str) -> str:
    if not 0 < len(text) <= _LONGEST_IDENTIFIER or not text.isprintable():
        wrong(f"must be a name of 1 to {_LONGEST_IDENTIFIER} printable characters")
    return text


def _columns(value: Any) -> Any:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        wrong('must be a column name, or a list of them, e.g. ["CARR", "FLTNO"]')
    if len(set(names)) < len(names):
        wrong("must not name a column twice")
    return tuple(_identifier(name) for name in names)


def _start(value: Any) -> Any:
    if value in ("beginning", "now") or (type(value) is int and 0 <= value <= _HIGHEST_CURSOR):
        return value
    return wrong('must be "beginning", "now", or a cursor value: a whole number, 0 or more')


def _order(value: Any) -> Any:
    if value == "loose":
        wrong(
            '"loose" (a timestamp, or a number taken before commit) is not built yet: without a durable memory of '
            'the rows already seen it would lose some. Use "commit", with a cursor that is taken in commit order'
        )
    if value != "commit":
        wrong('must be "commit": the cursor is unique per change and taken in commit order')
    return value


def _runtime(value: Any) -> Any:
    if value == "lambda":
        wrong('"lambda" is not built yet; use "local" or "kcl"')
    if value not in ("local", "kcl"):
        wrong('must be "local" or "kcl"')
    return value


def _endpoint(url: str) -> str:
    if objection := endpoint_objection(url):
        wrong(objection)
    return url


def _host(text: str) -> str:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        # The system takes a name that ends in a number for an address: "0" and "0x0" are 0.0.0.0, all networks.
        if not _HOST_NAME.fullmatch(text) or _NUMBER.fullmatch(text.rpartition(".")[2]):
            wrong('must be an IPv4 address or a host name, e.g. "127.0.0.1"')
    return text


def _database_url(secret: SecretStr, info: ValidationInfo[Place]) -> SecretStr:
    """Check the form of a database address, and let a relative SQLite file start from the settings' folder."""
    url = secret.get_secret_value()
    if not (known := _DATABASE_URL.fullmatch(url)):
        wrong('must be a database address as SQLAlchemy writes it, e.g. "sqlite:///back-office.db"')
    if info.context.dialects and (objection := address_objection(url)):
        wrong(objection)
    if known["dialect"] != "sqlite":
        return secret
    sqlite = _SQLITE_URL.fullmatch(url)
    if not sqlite or sqlite["path"] in {"", ":memory:"} or "\0" in unquote(sqlite["path"]):
        wrong('must name a file, e.g. "sqlite:///back-office.db": memory is not shared between processes')
    place = info.context
    prefix, path = ("file:", sqlite["path"][5:]) if sqlite["path"].startswith("file:") else ("", sqlite["path"])
    # Only the folder is quoted: what was written may hold escapes already.
    absolute = path if path.startswith("/") else f"{quote(str(place.folder))}/{path}"
    found = f"{sqlite['head']}{prefix}{absolute}{sqlite['query'] or ''}"
    if is_folder(found):
        wrong('must name a file, e.g. "sqlite:///back-office.db", and not a folder')
    return SecretStr(found)


def _store_url(secret: SecretStr, info: ValidationInfo[Place]) -> SecretStr:
    """Check the form of a front office's address, and give it as its store takes it."""
    url = secret.get_secret_value()
    if url == "dynamodb:":
        return secret
    if url.startswith("dynamodb"):
        wrong('must be "dynamodb:" alone: endpoint, region and credentials are those of [aws]')
    if is_postgres(url):
        if objection := postgres_objection(url):
            wrong(objection)
        return SecretStr(normalised(url))
    if not url.startswith("sqlite:///"):
        wrong('must be "sqlite:///PATH", "postgresql://user:password@host:5432/database" or "dynamodb:"')
    return _database_url(secret, info)


def _schema(text: str) -> str:
    if len(_identifier(text).encode()) > _LONGEST_SCHEMA or text.startswith("pg_"):
        wrong(f"must be a name of at most {_LONGEST_SCHEMA} bytes that does not begin with pg_")
    return text


def _tls(value: Any) -> Any:
    if value != "verify":
        wrong('must be "verify": certificate and name of a server on another machine are checked')
    return value


def _root_certificate(text: str, info: ValidationInfo[Place]) -> str:
    """Let a relative file start from the settings' folder."""
    if not text or "\0" in text:
        wrong('must be "system", or the file of a certificate authority')
    return text if text == "system" else str(info.context.folder / text)


Text = Annotated[str, BeforeValidator(_resolved)]
"""Text, or a reference to it."""
Secret = Annotated[SecretStr, BeforeValidator(_resolved)]
Region = Annotated[Text, _matching(_REGION, '1 to 63 letters, digits or -, e.g. "eu-central-1"')]
Host = Annotated[str, AfterValidator(_host)]
"""Where to listen: an IPv4 address (the server knows no other) or a host name."""
Endpoint = Annotated[Text, AfterValidator(_endpoint)]
DatabaseUrl = Annotated[Secret, AfterValidator(_database_url)]
"""An address that may hold a password, hence a secret; relative SQLite files are made absolute."""
StoreUrl = Annotated[Secret, AfterValidator(_store_url)]
"""The same for a front office; PostgreSQL's as libpq takes it."""
SchemaName = Annotated[str, AfterValidator(_schema)]
Tls = Annotated[str, PlainValidator(_tls)]
RootCertificate = Annotated[Text, AfterValidator(_root_certificate)]
AttributePrefix = Annotated[str, _matching(_ATTRIBUTE_PREFIX, "1 to 32 letters, digits, _ . or -, a letter or _ first")]
Name = Annotated[str, _matching(_NAME, NAME_ALLOWED)]
Word = Annotated[str, _matching(_WORD, "1 to 40 lower-case letters, digits or -, a letter first")]
"""What may be the reason of a parked change."""
AwsName = Annotated[str, _matching(_AWS_NAME, "1 to 128 letters, digits, _ . or -")]
QueueName = Annotated[str, _matching(_QUEUE_NAME, "1 to 80 letters, digits, _ or -")]
BucketName = Annotated[str, _matching(_BUCKET_NAME, "3 to 63 lower-case letters, digits, . or -")]
ObjectName = Annotated[str, _matching(_OBJECT, '"module:object", e.g. "pipelines:flights"')]
Identifier = Annotated[str, AfterValidator(_identifier)]
"""A table's, column's or schema's name, as the database knows it."""
Columns = Annotated[tuple[str, ...], BeforeValidator(_columns)]
Start = Annotated[str | int, PlainValidator(_start)]
Order = Annotated[str, PlainValidator(_order)]
Runtime = Annotated[str, PlainValidator(_runtime)]
