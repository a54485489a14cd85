"""`[gates.NAME]`: gates that close and open by themselves, and what must hold within each and around it."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator

from isthmus.addresses import is_loopback
from isthmus.settings.gates import Gate
from isthmus.settings.section import Section
from isthmus.settings.values import DatabaseUrl, Endpoint, Name, Secret, between, wrong
from isthmus.windows import Window, cron_objection, zone_objection

if TYPE_CHECKING:
    from isthmus.settings.models import Entity, Source

Objection = tuple[tuple[str, ...], str]

_OURS: Final = ("everything", "behind")
"""What is told of gates and of what they hold under these names already."""
_COVERS: Final = ("process", "source", "entity", "key_prefix")
_WINDOW: Final = ("closed_from", "closed_until", "time_zone")
_OF_SQL: Final = ("database_of", "database_url")
_OF_URL: Final = ("field", "token")
_OF_PROBES: Final = ("interval", "timeout")


_SOME_MOMENT_MS: Final = 1_356_998_400_000
"""Any will do: a window that never opens never does. Settings know no clock."""


def _cron(text: str) -> str:
    if objection := cron_objection(text):
        wrong(objection)
    return text


def _zone(text: str) -> str:
    if objection := zone_objection(text):
        wrong(objection)
    return text


def _some(text: str) -> str:
    if not text.strip():
        wrong("must not be empty")
    return text


Cron = Annotated[str, AfterValidator(_cron)]
Zone = Annotated[str, AfterValidator(_zone)]
Some = Annotated[str, AfterValidator(_some)]


class Declared(Section):
    """`[gates.NAME]`: what it covers, and when it is closed: by a window, or by what a query or a page says."""

    process: Name | None = None
    source: Name | None = None
    entity: Name | None = None
    key_prefix: Some | None = None
    mode: Literal["hold", "wait"] = "hold"
    reason: Some
    owner: str = ""
    closed_from: Cron | None = None
    closed_until: Cron | None = None
    time_zone: Zone | None = None
    sql: Some | None = None
    database_of: Name | None = None
    """A source: its database is asked."""
    database_url: DatabaseUrl | None = None
    url: Endpoint | None = None
    field: Some = "closed"
    token: Secret | None = None
    # An answer counts for three intervals: with an hour, somebody would wait for half a morning for an outage to show.
    interval: Annotated[float, between(1, 3600, "seconds")] = 10.0
    timeout: Annotated[float, between(0.1, 1800, "seconds")] = 5.0

    @property
    def window(self) -> Window | None:
        """The window, where it has one."""
        if self.closed_from is None or self.closed_until is None or self.time_zone is None:
            return None
        return Window(self.closed_from, self.closed_until, self.time_zone)

    def question(self, name: str) -> str:
        """Give what its verdict lies under: another question shall not find the answer to this one."""
        asked = json.dumps([self.sql, self.database_of, self.url, self.field]).encode()
        return f"{name}#{hashlib.sha256(asked).hexdigest()[:12]}"


Gates = Mapping[str, Declared]


def forms(gates: Gates) -> Iterator[Objection]:
    """See that each says in one way when it is closed, and says all that goes with it."""
    for name, gate in gates.items():
        for key, sentence in _form(name, gate):
            yield ("gates", name, *((key,) if key else ())), sentence


def _form(name: str, gate: Declared) -> Iterator[tuple[str, str]]:
    said = gate.model_fields_set
    if name in _OURS:
        yield "", f"must have another name: {name} is a word that `isthmus gate` uses itself"
    ways = [any(key in said for key in _WINDOW), "sql" in said, "url" in said]
    if sum(ways) != 1:
        how = "in one way alone" if sum(ways) else "must say when it is closed"
        yield "", f"{how}: closed_from, closed_until and time_zone (a window), sql (a query), or url (a page)"
        return
    is_window, is_query, is_page = ways
    if is_window:
        yield from _window(gate)
    if is_query and sum(key in said for key in _OF_SQL) != 1:
        yield "sql", "needs database_of (a source's name) or database_url, and not both"
    for keys, fits, what in (
        (_OF_SQL, is_query, "sql"),
        (_OF_URL, is_page, "url"),
        (_OF_PROBES, not is_window, "sql or url"),
    ):
        for key in keys:
            if key in said and not fits:
                yield key, f"goes with {what}"
    if not is_window and gate.timeout > gate.interval / 2:
        yield (
            "timeout",
            f"must be at most half of interval, {gate.interval / 2:g}: two attempts fit in what an answer lasts",
        )


def _window(gate: Declared) -> Iterator[tuple[str, str]]:
    for key in _WINDOW:
        if getattr(gate, key) is None:
            yield key, "is required in a window: closed_from, closed_until and time_zone"
    window = gate.window
    is_one = gate.closed_from and gate.closed_until and gate.closed_from.split() == gate.closed_until.split()
    if is_one or (window is not None and window.at(_SOME_MOMENT_MS).changes_ms is None):
        yield "closed_until", "must come at another moment than closed_from: it would never open"


def scopes(
    gates: Gates, gate: Gate, sources: "Mapping[str, Source]", entities: "Mapping[str, Entity]"
) -> Iterator[Objection]:
    """See that what a gate covers is there, and that what becomes of it can be done."""
    processes = {entity.process or name for name, entity in entities.items()}
    for name, declared in gates.items():
        for key, known in (
            ("process", processes),
            ("source", sources.keys()),
            ("entity", entities.keys()),
            ("database_of", sources.keys()),
        ):
            said = getattr(declared, key)
            if said is not None and said not in known:
                yield ("gates", name, key), f"the settings know {', '.join(sorted(known))}"
        narrow = [key for key in _COVERS if getattr(declared, key) is not None]
        if declared.mode == "wait" and narrow:
            yield (
                ("gates", name, "mode"),
                f'must be "hold": a gate that lets every shard wait covers everything, without {", ".join(narrow)}',
            )
        if declared.mode == "hold" and not gate.hold:
            yield (
                ("gates", name, "mode"),
                'must be "wait", and the gate must cover everything: gate.hold is false, nothing can be held',
            )


def plain_tokens(gates: Gates, written: Mapping[str, Any]) -> Iterator[Objection]:
    """See that a token is no plain text, but where it goes to this machine alone."""
    for name, declared in gates.items():
        here = is_loopback(urlsplit(declared.url or "").hostname or "")
        if isinstance(written.get(name, {}).get("token"), str) and not here:
            yield (
                ("gates", name, "token"),
                'must be {env = "NAME"} or {file = "PATH"}; in plain only beside a loopback url',
            )
