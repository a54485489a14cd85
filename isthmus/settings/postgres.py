"""Addresses of a PostgreSQL front office, as libpq writes them. Nothing is connected, and no driver is needed.

libpq, "Connection URIs": postgresql://[user[:password]@][host[:port],...]/database[?parameter=value&...]
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from isthmus.addresses import is_loopback

SCHEME = "postgresql://"
_SCHEMES = ("postgresql://", "postgres://", "postgresql+psycopg://")
_HIGHEST_PORT = 65535
_ADDRESS = re.compile(
    r"(?:(?P<user>[^@/?#]*)@)?(?P<hosts>[^@/?#]*)(?:/(?P<database>[^@/?#]*))?(?:\?(?P<parameters>[^#]*))?", re.ASCII
)
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:]*)(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_VERIFIED = "verify-full"

_FORM = (
    'must be as libpq writes it, e.g. "postgresql://user:password@host:5432/database", or with a socket\'s folder, '
    f'"postgresql://user@/database?host=/run/postgresql": the port is a number from 1 to {_HIGHEST_PORT:,}, and an @ '
    "in a password is written %40, a / %2F"
)
_NO_HOST = 'must name the host, or the socket\'s folder with "?host=/run/postgresql": the environment is not asked'
_SERVICE = "must name the host itself, and no service: what a service's file says is not seen here"
_WEAK = (
    "must not ask for less than sslmode=verify-full: passwords and rows would go to whoever answers. Leave sslmode "
    "away, and name your own certificate authority as sslrootcert under [store.postgres]"
)
_ROOT = "must not hold sslrootcert: it stands under [store.postgres]"


class _Address(NamedTuple):
    hosts: tuple[str, ...]
    """Every host that may be asked, of the address itself and of its parameters."""
    database: str
    parameters: dict[str, str]


def is_postgres(url: str) -> bool:
    """Say whether this is meant as an address of PostgreSQL, under whatever driver's name."""
    return url.startswith(("postgresql:", "postgres:", "postgresql+"))


def normalised(url: str) -> str:
    """Give the address as libpq reads it, without a driver's name."""
    return SCHEME + url.partition("://")[2]


def postgres_objection(url: str) -> str:
    """Say in words what is wrong with an address, or give the empty string. The address is not quoted."""
    if not url.startswith(_SCHEMES):
        return 'must begin with "postgresql://": psycopg 3 is the driver'
    found = _parsed(url)
    if found is None or not found.database:
        return _FORM
    if {"service", "servicefile"} & found.parameters.keys():
        return _SERVICE
    if not found.hosts or not all(found.hosts):
        return _NO_HOST
    return "" if _stays_here(found) else _unsafe(found.parameters)


def _unsafe(parameters: Mapping[str, str]) -> str:
    # `ssl=true` is how JDBC asks for `require`.
    if parameters.get("sslmode", _VERIFIED) != _VERIFIED or "ssl" in parameters:
        return _WEAK
    return _ROOT if "sslrootcert" in parameters else ""


def stays_here(url: str) -> bool:
    """Say whether every host of a right address is this machine: a loopback address, or a socket."""
    found = _parsed(url)
    return found is not None and _stays_here(found)


def _stays_here(address: _Address) -> bool:
    return all(host.startswith(("/", "@")) or is_loopback(host) for host in address.hosts)


def _parsed(url: str) -> _Address | None:
    parts = _ADDRESS.fullmatch(url.partition("://")[2])
    if parts is None:
        return None
    try:
        parameters = dict(_parameters(parts["parameters"] or ""))
        listed = [_HOST.fullmatch(each) for each in parts["hosts"].split(",")]
        if not all(each and _is_port(each["port"]) for each in listed):
            return None
        hosts = [_decoded(each["host"]) for each in listed if each]
        database = parameters.get("dbname", _decoded(parts["database"] or ""))
        _decoded(parts["user"] or "")
    except ValueError:
        return None
    if not all(_is_port(port) for port in parameters.get("port", "").split(",") if port):
        return None
    given = [host for name in ("host", "hostaddr") if name in parameters for host in parameters[name].split(",")]
    return _Address((*([] if given and hosts == [""] else hosts), *given), database, parameters)


def _parameters(text: str) -> Iterator[tuple[str, str]]:
    for each in text.split("&") if text else ():
        name, _, value = each.partition("=")
        yield _decoded(name), _decoded(value)


def _is_port(port: str | None) -> bool:
    return port is None or (port.isdecimal() and port.isascii() and 1 <= int(port) <= _HIGHEST_PORT)


def _decoded(text: str) -> str:
    """Give a part without its escapes. Raises ValueError for what libpq refuses: a stray %, a NUL."""
    if re.search("%(?![0-9A-Fa-f]{2})", text):
        raise ValueError("a % that begins no escape")
    decoded = unquote(text, errors="strict")
    if "\0" in decoded:
        raise ValueError("a NUL")
    return decoded
