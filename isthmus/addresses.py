"""Which addresses stay on this machine: plain text is spoken, and listened to, only there. And which are files."""

import ipaddress
import re
from urllib.parse import unquote, urlsplit

_SQLITE = re.compile(r"sqlite(\+[a-z0-9_]+)?:///(file:)?(?P<path>[^?]*)(\?.*)?", re.DOTALL)


def is_loopback(host: str) -> bool:
    """Say whether a host name or address is this machine itself: `localhost`, 127.0.0.0/8 or ::1."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def endpoint_objection(url: str) -> str:
    """Say in words what is wrong with an HTTP endpoint, or give the empty string.

    Plain HTTP is allowed to this machine only; a user name or password has no place in an address.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is no address; write e.g. https://host or http://127.0.0.1:4566"
    if parts.scheme not in {"http", "https"} or not host:
        return "is no address; write e.g. https://host or http://127.0.0.1:4566"
    if parts.username is not None or parts.password is not None:
        return "must not hold a user name or a password"
    if parts.scheme == "http" and not is_loopback(host):
        return "http:// is allowed to this machine only (localhost, 127.0.0.1, ::1); use https://"
    return ""


def sqlite_file(url: str) -> str:
    """Give the path in a SQLite address such as `sqlite:///data/office.db`, or the empty string for another address.

    `%20` and its like are decoded here, once: releases of SQLAlchemy differ in whether they do it.
    """
    found = _SQLITE.fullmatch(url)
    return unquote(found["path"]) if found else ""
