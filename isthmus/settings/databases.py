"""What is wrong with a database's address, and whether two SQLite addresses are one file. Nothing is connected."""

import os
import re
from pathlib import Path

from isthmus.addresses import sqlite_file

_HIGHEST_PORT = 65535

_FORM = (
    'must be a database address as SQLAlchemy writes it, e.g. "postgresql+psycopg://user:password@host:5432/database": '
    f"the port is a number from 1 to {_HIGHEST_PORT:,}, and an @ in a password is written %40"
)
_PLAIN = re.compile(
    r"sqlite:///[\w./-]+|postgresql\+psycopg://[\w.-]+(:[\w.-]+)?@[a-z][\w.-]*(:[1-9]\d{0,3})?/[\w-]+", re.ASCII
)
"""Addresses that SQLAlchemy reads as they look: most of them, and it takes a third of a second to load."""


def address_objection(url: str) -> str:
    """Say in words what is wrong with a database address, or give the empty string. The address is not quoted.

    A driver that SQLAlchemy knows need not be installed here: the consumer never connects to the back office.
    """
    if _PLAIN.fullmatch(url):
        return ""
    from sqlalchemy import make_url  # noqa: PLC0415 - a third of a second, and many commands need none of it
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError  # noqa: PLC0415 - as above

    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        return _FORM
    if "@" in (address.host or "") or not (address.port is None or 1 <= address.port <= _HIGHEST_PORT):
        return _FORM
    try:
        dialect = address.get_dialect()
    except (NoSuchModuleError, AttributeError):  # AttributeError: the name of a module there that is no driver
        return "names a dialect or driver that SQLAlchemy does not know: it is misspelt, or its package not installed"
    except ImportError:
        # A dialect of its own package that lacks something: who connects says what.
        return ""
    return "must name a driver that is not for asyncio, e.g. postgresql+psycopg" if dialect.is_async else ""


def is_folder(url: str) -> bool:
    """Say whether a folder is where a SQLite address has its file."""
    file = sqlite_file(url)
    return file.endswith("/") or os.path.isdir(file)  # noqa: PTH112 - Path's raises where it may not look


def is_one_file(one: str, other: str) -> bool:
    """Say whether two addresses are one SQLite file, under whatever names. It need not be there."""
    files = [sqlite_file(url) for url in (one, other)]
    if not all(files):
        return False
    if os.path.realpath(files[0]) == os.path.realpath(files[1]):
        return True
    try:
        # A hard link, or a file system that knows no difference between upper and lower case.
        return Path(files[0]).samefile(files[1])
    except OSError:
        return False
