"""Which stand-ins there are, which of them a command means, and what to write into the settings."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from isthmus.console.dev import dynamodb_local, kinesis_mock, localstack, ministack, postgresql
from isthmus.console.dev.install import Say
from isthmus.console.dev.standin import REGION, Plan
from isthmus.errors import Missing

EVERYTHING = "*"
"""Serves every AWS service that no other one serves."""


class Kind(NamedTuple):
    """One kind of stand-in."""

    serves: str
    """An AWS service, `EVERYTHING`, or empty: it is none of AWS."""
    unavailable: Callable[[Path, Say], str]
    """Installs it, and says why it cannot run here, or nothing."""
    plan: Callable[[Path, Path], Plan]
    """Takes the install folder and the stand-in's own."""


KINDS: Mapping[str, Kind] = {
    kinesis_mock.NAME: Kind("kinesis", kinesis_mock.unavailable, kinesis_mock.plan),
    dynamodb_local.NAME: Kind("dynamodb", dynamodb_local.unavailable, dynamodb_local.plan),
    ministack.NAME: Kind(EVERYTHING, ministack.unavailable, ministack.plan),
    localstack.NAME: Kind(EVERYTHING, localstack.unavailable, localstack.plan),
    postgresql.NAME: Kind("", postgresql.unavailable, postgresql.plan),
}
ALONE = (kinesis_mock.NAME, dynamodb_local.NAME, ministack.NAME, postgresql.NAME)
"""What `up` means when nothing is named."""
TOGETHER = (localstack.NAME, postgresql.NAME)
"""And what it means with --localstack."""


class Choice(NamedTuple):
    """What is to be started."""

    names: list[str]
    left_out: dict[str, str]
    """By name: why it cannot run here."""


def choose(named: Sequence[str], unavailable: Mapping[str, str], *, together: bool) -> Choice:
    """Choose among what was named, or else what is usual; `unavailable` says why something cannot run here.

    Raises `Missing` when something that was named cannot run, and when no part of AWS can.
    """
    wanted = named or (TOGETHER if together else ALONE)
    left_out = {name: unavailable[name] for name in wanted if unavailable.get(name)}
    chosen = [name for name in KINDS if name in wanted and name not in left_out]
    must = set(named) or ({localstack.NAME} if together else set())
    if must & set(left_out) or not (named or any(KINDS[name].serves for name in chosen)):
        raise Missing("\n".join(left_out.values()))
    return Choice(chosen, left_out)


def settings_of(addresses: Mapping[str, str]) -> list[str]:
    """Give the lines of `isthmus.toml` by which stand-ins are used; `addresses` are those that run, by name."""
    services = {KINDS[name].serves: url for name, url in addresses.items() if name in KINDS}
    database = services.pop("", None)
    rest = services.pop(EVERYTHING, None)
    lines: list[str] = []
    if services or rest:
        lines += ["[aws]", f'region = "{REGION}"', 'access_key_id = "test"']
        # A secret in plain text is refused where a service is not on this machine.
        lines += [f'endpoint_url = "{rest}"', 'secret_access_key = "test"'] if rest else [_BY_REFERENCE]
    if services:
        lines += ["", "[aws.endpoints]", *(f'{service} = "{url}"' for service, url in services.items())]
    if database:
        lines += [*([""] if lines else []), "[store]", f'url = "{database}"']
    return lines


_BY_REFERENCE = 'secret_access_key = {env = "AWS_SECRET_ACCESS_KEY"}  # any'
