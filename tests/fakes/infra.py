"""What `infra/`, `docker-compose.yml` and the `Dockerfile` say, for the tests that hold it against the code."""

import re
import runpy
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml  # type: ignore[import-untyped]  # its stubs are one more package to lock

ROOT: Final = Path(__file__).parents[2]
INFRA: Final = ROOT / "infra"
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
OURS: Final = {name: service for name, service in SERVICES.items() if "build" in service}
"""Services of this project's own image."""
HOSTS: Final = {name: service for name, service in OURS.items() if name.endswith("-host")}
PROCESSES: Final = {name: service for name, service in OURS.items() if name not in HOSTS}
"""Services that run a command of Isthmus."""


class Instruction(NamedTuple):
    """One instruction of the Dockerfile."""

    word: str
    rest: str


def instructions() -> list[Instruction]:
    """Give the Dockerfile, without comments, each instruction on one line."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ")
    return [Instruction(*line.split(maxsplit=1)) for line in lines.splitlines() if line.strip()]


def rest_of(word: str) -> list[str]:
    """Give what stands behind every instruction of one kind."""
    return [each.rest for each in instructions() if each.word == word]


def health_check() -> list[str]:
    """Give the command of the image's health check."""
    (check,) = rest_of("HEALTHCHECK")
    words: list[str] = yaml.safe_load(check.split("CMD", 1)[1])
    return words


def read_yaml(path: str) -> dict[str, Any]:
    """Give a file below `infra/`."""
    found: dict[str, Any] = yaml.safe_load((INFRA / path).read_text(encoding="utf-8"))
    return found


def dashboard_program() -> dict[str, Any]:
    """Give what the program that writes the dashboard defines. It writes nothing."""
    return runpy.run_path(str(INFRA / "grafana" / "dashboard.py"))


def pins(file: str) -> dict[str, str]:
    """Give version by package of a locked requirements file."""
    text = (ROOT / "requirements" / file).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text, re.MULTILINE))
