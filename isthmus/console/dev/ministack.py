"""ministack: every AWS service that Isthmus asks, from a Python wheel. It has no reshard; others stand in for that."""

import importlib.util
import sys
from pathlib import Path

from isthmus.chance import unique_name
from isthmus.console import embedded
from isthmus.console.dev.install import Say, silently
from isthmus.console.dev.standin import HOST, Plan, free_ports

NAME = "ministack"


def unavailable(_home: Path | None = None, _say: Say = silently) -> str:
    """Say in one sentence why ministack cannot run here, or nothing."""
    if importlib.util.find_spec(NAME) is None:
        return "ministack is not installed: `pip install 'isthmus[demo]'`."
    return ""


def plan(_home: Path, folder: Path) -> Plan:
    """Make the plan of one that runs in `folder`."""
    (port,) = free_ports(1)
    name, url = unique_name(), f"http://{HOST}:{port}"
    environment = embedded.environment(port, folder, name)
    command = [sys.executable, "-P", "-m", NAME]
    return Plan(NAME, command, environment, lambda: url if embedded.answers(port, name) else "", port)
