"""A user's plan, from TOML and from options: checked as a whole, all mistakes at once."""

import difflib
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isthmus.console.proxy.behaviour import LATE_SECONDS
from isthmus.console.proxy.kinds import FITS, OPERATIONS, THROTTLES, Breaks, Kind, Manner, Service, meets
from isthmus.console.proxy.rules import Rule
from isthmus.errors import Mistake
from isthmus.settings.sentences import as_written, mistakes_in

OPTION: Final = "--fault"
_SPELLING: Final = 'must read "SERVICE [OPERATION] KIND [KEY=VALUE]...", e.g. "kinesis PutRecords throttle every=10"'
_COUNTED: Final = ("every", "times", "first", "last")
_LONGEST: Final = 86_400.0
_TAKES: Final[Mapping[str, frozenset[Kind]]] = {
    "seconds": frozenset({Kind.LATENCY, Kind.LATE, Kind.HALF_OPEN}),
    "jitter": frozenset({Kind.LATENCY, Kind.LATE}),
    "bytes": frozenset({Kind.CUT}),
    "code": frozenset({Kind.THROTTLE}),
    "breaks": frozenset({Kind.RESET, Kind.ANSWER_LOST, Kind.LATE, Kind.HALF_OPEN}),
}
"""Which kinds of faults have a choice there."""


class _Written(BaseModel):
    """One fault as it is written."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    service: Literal["kinesis", "dynamodb", "sqs", "s3", "postgres"]
    kind: Literal[
        "latency",
        "reset",
        "answer-lost",
        "late",
        "half-open",
        "cut",
        "throttle",
        "error",
        "unavailable",
        "partial",
        "repeat",
        "expired",
    ]
    operation: str | list[str] = Field(default_factory=list)
    name: str = ""
    every: int | None = None
    probability: float | None = None
    times: int | None = None
    first: int | None = None
    last: int | None = None
    begins: float | None = Field(default=None, alias="from")
    until: float | None = None
    seconds: float | None = None
    jitter: float | None = None
    bytes: int | None = None
    code: str | None = None
    breaks: Literal["stream", "goaway", "connection"] | None = None

    def operations(self) -> tuple[str, ...]:
        """Give the operations that are named."""
        return (self.operation,) if isinstance(self.operation, str) else tuple(self.operation)


class Planned(NamedTuple):
    """What was read."""

    rules: list[Rule]
    seed: int | None
    mistakes: list[Mistake]


def read_plan(path: Path) -> Planned:
    """Read a plan's file."""
    file = str(path)
    try:
        with path.open("rb") as opened:
            written = tomllib.load(opened)
    except OSError as error:
        return Planned([], None, [Mistake(file, "file", "", f"cannot be read: {error.strerror}")])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return Planned([], None, [Mistake(file, "file", "", f"is not TOML: {error}")])
    mistakes = [
        Mistake(file, key, "", "is not known here; known are seed, and a table [[fault]] for each fault")
        for key in written
        if key not in {"seed", "fault"}
    ]
    seed, tables = written.get("seed"), written.get("fault", [])
    if seed is not None and type(seed) is not int:
        mistakes.append(Mistake(file, "seed", as_written(written, ["seed"]), "must be a whole number"))
        seed = None
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        return Planned([], seed, [*mistakes, Mistake(file, "fault", "", "must be written as [[fault]], once for each")])
    rules: list[Rule] = []
    for number, table in enumerate(tables, 1):
        found = _rule(table, file, f"fault {number}: ")
        rules += [found] if isinstance(found, Rule) else []
        mistakes += found if isinstance(found, list) else []
    return Planned(rules, seed, mistakes)


def read_options(specs: Sequence[str]) -> Planned:
    """Read faults from options."""
    rules: list[Rule] = []
    mistakes: list[Mistake] = []
    for spec in specs:
        table = _table(spec)
        found = [Mistake(OPTION, f'"{spec}"', "", _SPELLING)] if table is None else _rule(table, OPTION, f'"{spec}": ')
        rules += [found] if isinstance(found, Rule) else []
        mistakes += found if isinstance(found, list) else []
    return Planned(rules, None, mistakes)


def not_in_front(rules: Sequence[Rule], fronts: Collection[Service]) -> list[Mistake]:
    """Give a mistake for each service that is to have faults and has no proxy."""
    away = dict.fromkeys(rule.service for rule in rules if rule.service not in fronts)
    where = "HOST:PORT"
    return [
        Mistake("the plan", str(service), "", f"has no proxy; name where it is with --{service} {url}")
        for service in away
        for url in [where if service is Service.POSTGRES else "URL"]
    ]


def named_apart(rules: Sequence[Rule]) -> list[Rule]:
    """Give the rules with names that tell them apart."""
    found: dict[str, Rule] = {}
    for rule in rules:
        name, number = rule.name, 2
        while name in found:
            name, number = f"{rule.name} ({number})", number + 1
        found[name] = replace(rule, name=name)
    return list(found.values())


def _table(spec: str) -> dict[str, Any] | None:
    """Give an option as the table that a file would have; None where it cannot be read."""
    words = spec.split()
    pairs = [word.partition("=") for word in words if "=" in word]
    plain = [word for word in words if "=" not in word]
    if len(plain) not in {2, 3} or not all(key and value for key, _, value in pairs):
        return None
    table: dict[str, Any] = {"service": plain[0], "kind": plain[-1]}
    if len(plain) == 3:  # noqa: PLR2004 - service, operation, kind
        table["operation"] = plain[1].split(",")
    return table | {key: _value(value) for key, _, value in pairs}


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"it = {text}")["it"]
    except tomllib.TOMLDecodeError:
        return text


def _rule(table: dict[str, Any], file: str, where: str) -> Rule | list[Mistake]:
    try:
        written = _Written.model_validate(table)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        # Of "text or a list of texts" both alternatives are told: one sentence is enough.
        first: dict[Any, Any] = {}
        for each in details:
            first.setdefault(each["loc"][:1], each | {"loc": each["loc"][:1]})
        return [
            Mistake(file, where + told.path, told.value, told.allowed)
            for told in mistakes_in(first.values(), table, _Written, file)
        ]
    objections = list(_objections(written))
    if objections:
        return [Mistake(file, where + key, as_written(table, [key]), allowed) for key, allowed in objections]
    return _made(written)


def _made(written: _Written) -> Rule:
    service, kind = Service(written.service), Kind(written.kind)
    operations = written.operations()
    seconds, jitter = written.seconds, written.jitter
    if kind is Kind.LATE and seconds is None:
        seconds, jitter = LATE_SECONDS[0], LATE_SECONDS[1] - LATE_SECONDS[0]
    return Rule(
        name=written.name or " ".join([service, *([",".join(operations)] if operations else []), kind]),
        service=service,
        kind=kind,
        operations=frozenset(operations or meets(service, kind)),
        every=written.every or 1,
        probability=1.0 if written.probability is None else float(written.probability),
        times=written.times,
        first=written.first or 1,
        last=written.last,
        begins=float(written.begins or 0.0),
        ends=written.until,
        manner=Manner(
            seconds=float(seconds or 0.0),
            jitter=float(jitter or 0.0),
            bytes=written.bytes or 0,
            code=written.code or "",
            breaks=Breaks(written.breaks or Breaks.STREAM),
        ),
    )


def _objections(written: _Written) -> Iterator[tuple[str, str]]:
    service, kind = Service(written.service), Kind(written.kind)
    if kind not in FITS[service]:
        yield "kind", f"does not happen to {service}; possible are {_list(FITS[service])}"
    else:
        yield from _of_operations(written, service, kind)
    yield from _of_numbers(written)
    for key, kinds in _TAKES.items():
        if getattr(written, key) is not None and kind not in kinds:
            yield key, f"says nothing about {kind}; it is for {_list(kinds)}"
    if kind is Kind.LATENCY and written.seconds is None:
        yield "seconds", "is required: how long a request is kept back"
    if kind is Kind.CUT and written.bytes is None:
        yield "bytes", "is required: how many bytes of the answer pass"
    if kind is Kind.THROTTLE and written.code is not None and written.code not in THROTTLES[service]:
        yield "code", f"is none by which {service} throttles; possible are {', '.join(THROTTLES[service])}"


def _of_operations(written: _Written, service: Service, kind: Kind) -> Iterator[tuple[str, str]]:
    can = meets(service, kind)
    for operation in written.operations():
        if operation not in OPERATIONS[service]:
            near = difflib.get_close_matches(operation, OPERATIONS[service], n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(OPERATIONS[service])}"
            yield "operation", f"is no operation of {service} that is known here; {hint}"
        elif can and operation not in can:
            yield "operation", f"{kind} does not happen to {operation}; it does to {', '.join(can)}"


def _of_numbers(written: _Written) -> Iterator[tuple[str, str]]:
    if written.every is not None and written.probability is not None:
        yield "probability", "stands beside every; write one of the two"
    yield from (
        (key, "must be 1 or more") for key in _COUNTED if (number := getattr(written, key)) is not None and number < 1
    )
    if written.probability is not None and not 0 < written.probability <= 1:
        yield "probability", "must be more than 0, and 1 at most"
    if written.last is not None and written.last < (written.first or 1):
        yield "last", "must not be less than first"
    if written.seconds is not None and not 0 < written.seconds <= _LONGEST:
        yield "seconds", f"must be more than 0, and {_LONGEST:.0f} (a day) at most"
    for key, name in (("jitter", "jitter"), ("bytes", "bytes"), ("begins", "from")):
        if (number := getattr(written, key)) is not None and not 0 <= number < float("inf"):
            yield name, "must be 0 or more"
    if written.until is not None and not written.until > (written.begins or 0.0):
        yield "until", "must be later than from"


def _list(kinds: Collection[Kind]) -> str:
    return ", ".join(kind for kind in Kind if kind in kinds)
