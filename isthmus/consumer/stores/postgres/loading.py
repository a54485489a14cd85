"""How rows of the user's come to handlers: what no date or time of Python's can hold comes as PostgreSQL writes it."""

from typing import Any, ClassVar

import psycopg
from psycopg.abc import AdaptContext, Buffer, Loader
from psycopg.types import datetime as loaders


class _OrText(psycopg.adapt.Loader):
    """Loads with another loader, and gives the text where that one cannot: a year after 9999, an infinity, 24:00."""

    inner: ClassVar[type[psycopg.adapt.Loader]]

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        self._load = self.inner(oid, context).load

    def load(self, data: Buffer) -> Any:
        try:
            return self._load(data)
        except psycopg.DataError:
            return bytes(data).decode()


def _or_text(loader: type[psycopg.adapt.Loader]) -> type[Loader]:
    return type(f"{loader.__name__}OrText", (_OrText,), {"inner": loader})


_LOADERS = {
    "date": _or_text(loaders.DateLoader),
    "time": _or_text(loaders.TimeLoader),
    "timetz": _or_text(loaders.TimetzLoader),
    "timestamp": _or_text(loaders.TimestampLoader),
    "timestamptz": _or_text(loaders.TimestamptzLoader),
    "interval": _or_text(loaders.IntervalLoader),
}


def load_whatever_is_there(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    """Let no value in a row of the user's make the row unreadable."""
    for name, loader in _LOADERS.items():
        connection.adapters.register_loader(name, loader)
