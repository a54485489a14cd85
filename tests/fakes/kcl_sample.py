"""amazon-kclpy's own Python code with its sample application, from its source package; fetched into build/ once."""

import sys
import tarfile
from functools import cache
from pathlib import Path
from typing import Final

from isthmus.console.dev.install import Part, installed, run
from isthmus.errors import Fatal
from tests.fakes.kinesis_mock import HOME

_VERSION: Final = "3.1.3"
_SHA256: Final = "22743ea629cd23604171eea90e08de66482990549fe5b2409fb5c7c434e98084"
"""Of the Python files of both packages."""
_REQUIREMENT: Final = """
amazon-kclpy==3.1.3 --hash=sha256:146bf4a85c79eb6d3c842075d7fe2a1ffad3f2944c24db202add5e2a875259c9
"""


@cache
def unavailable() -> str:
    """Say why the sample cannot run here, or nothing. Fetches it the first time."""
    try:
        installed(PART, HOME)
    except Fatal as error:
        return str(error)
    return ""


def folder() -> Path:
    """Give the folder to import `amazon_kclpy` and `samples` from. Raises `Fatal` when they cannot be fetched."""
    return installed(PART, HOME)


def _fetch(place: Path) -> Path:
    (place / "sample.txt").write_text(_REQUIREMENT, encoding="ascii")
    # What it says of itself is asked of its setup.py, by the setuptools that are here.
    how = ["--no-deps", "--require-hashes", "--no-binary", "amazon-kclpy", "--no-build-isolation"]
    run(
        "Fetching amazon-kclpy",
        [sys.executable, "-m", "pip", "--quiet", "download", *how, "--dest", ".", "--requirement", "sample.txt"],
        place,
    )
    (packed,) = place.glob("amazon_kclpy-*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(place / "unpacked", filter="data")
    (unpacked,) = (place / "unpacked").iterdir()
    kept = place / "kept"
    kept.mkdir()
    for name in ("amazon_kclpy", "samples"):
        (unpacked / name).rename(kept / name)
    return kept


PART: Final = Part(f"kclpy-sample-{_VERSION}", _SHA256, _fetch)
