"""Where the real services are, as a user writes it, and what to write into `isthmus.toml` to have the proxy between."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit

from isthmus.console.proxy.kinds import Service
from isthmus.console.proxy.wire import LOOPBACK, Address

_HTTP_PORT: Final = 80
_POSTGRES_PORT: Final = 5432
_HOST_PORT: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})", re.ASCII)
_HIGHEST_PORT: Final = 65_535


class Upstream(NamedTuple):
    """Where a service is."""

    where: Address | Path
    """A path is that of PostgreSQL's socket file."""
    user: str = "USER"
    database: str = "DATABASE"

    def __str__(self) -> str:
        if isinstance(self.where, Path):
            return str(self.where)
        return f"{self.where.host}:{self.where.port}"


def of_http(url: str) -> Upstream | str:
    """Give where an AWS service is, or say what is wrong."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme == "https":
        return (
            "must be http:// (the proxy speaks no TLS, and changes requests after they were signed: AWS refuses them)"
        )
    if parts.scheme != "http" or not host:
        return "must be an address such as http://127.0.0.1:4566"
    if parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username is not None:
        return "must be host and port alone, such as http://127.0.0.1:4566"
    return Upstream(Address(host, _HTTP_PORT if port is None else port))


def of_postgres(text: str) -> Upstream | str:
    """Give where a PostgreSQL is, or say what is wrong."""
    if text.startswith("/"):
        return Upstream(_socket(text, _POSTGRES_PORT))
    if text.startswith(("postgresql://", "postgres://")):
        return _of_url(text)
    found = _HOST_PORT.fullmatch(text)
    if found is None or not 0 < int(found["port"]) <= _HIGHEST_PORT:
        return "must be HOST:PORT, the folder of its socket file, or postgresql://USER@HOST:PORT/DATABASE"
    return Upstream(Address(found["host"].strip("[]"), int(found["port"])))


def _of_url(url: str) -> Upstream | str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _POSTGRES_PORT
    except ValueError:
        return "is no address; write e.g. postgresql://USER@HOST:PORT/DATABASE"
    if parts.password is not None:
        return "must not hold a password: it goes from the client to the server, and the proxy has no use for it"
    asked = parse_qs(parts.query)
    host = asked.get("host", [host or "localhost"])[0]
    user, database = unquote(parts.username or "USER"), unquote(parts.path.lstrip("/") or "DATABASE")
    where = _socket(host, port) if host.startswith("/") else Address(host, port)
    return Upstream(where, user, database)


def _socket(folder: str, port: int) -> Path:
    # libpq, "Connection Strings": host and port name the socket file in its folder.
    return Path(folder) / f".s.PGSQL.{port}"


def settings_of(ports: Mapping[Service, int], upstreams: Mapping[Service, Upstream]) -> list[str]:
    """Give the lines of `isthmus.toml` by which the proxies are used."""
    aws = {service: port for service, port in ports.items() if service is not Service.POSTGRES}
    lines = ["[aws.endpoints]"] if aws else []
    lines += [f'{service} = "http://{LOOPBACK}:{port}"' for service, port in aws.items()]
    if Service.POSTGRES in ports:
        store = upstreams[Service.POSTGRES]
        user, database = quote(store.user, safe=""), quote(store.database, safe="")
        url = f"postgresql://{user}@{LOOPBACK}:{ports[Service.POSTGRES]}/{database}"
        lines += [*([""] if lines else []), "[store]", f'url = "{url}"']
    return lines
