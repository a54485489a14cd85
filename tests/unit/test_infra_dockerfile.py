"""The image is small, pinned and not root's, and its commands are commands that there are."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are one more package to lock

from isthmus.console.dev import kcl
from isthmus.console.main import invoke
from isthmus.console.serving import serving
from isthmus.metrics import Metrics
from isthmus.settings.models import Metrics as MetricsSection
from tests.fakes.infra import ROOT, health_check, instructions, pins, rest_of

IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def copied() -> list[str]:
    """Give what is copied out of the source tree."""
    return [source for rest in rest_of("COPY") if not rest.startswith("--from=") for source in rest.split()[:-1]]


def test_hadolint_finds_nothing() -> None:
    program = shutil.which("hadolint")
    if program is None:
        pytest.skip("hadolint is not on the path")
    done = subprocess.run([program, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_the_base_is_pinned_to_one_release_in_one_place() -> None:
    base, *others = rest_of("ARG")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = re.fullmatch(r"BASE=python:(\d+\.\d+)\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", base)

    assert found is not None
    assert not any("BASE" in other for other in others)
    assert f"Programming Language :: Python :: {found[1]}" in project["classifiers"]
    assert [rest.split()[0] for rest in rest_of("FROM")] == ["${BASE}", "${BASE}"]


def test_it_runs_as_nobody_special() -> None:
    (user,) = rest_of("USER")
    number = user.split(":")[0]
    words = [each.word for each in instructions()]

    assert int(number) > 0
    assert f"useradd --system --uid {number} " in rest_of("RUN")[-1]
    assert words.index("USER") > max(index for index, word in enumerate(words) if word in {"RUN", "COPY"})


def test_what_is_copied_is_there_and_nothing_else_is_sent() -> None:
    assert all((ROOT / source).exists() for source in copied())
    assert sorted(copied()) == sorted(line[1:] for line in IGNORED if line.startswith("!"))
    assert "*" in IGNORED


def test_what_is_installed_is_locked_to_the_releases_that_are_tested() -> None:
    image, tested = pins("image.txt"), pins("dev.txt")

    assert {name: version for name, version in image.items() if tested.get(name, version) != version} == {}
    assert image.keys() - tested.keys() == {"amazon-kclpy"}
    assert pins("image-build.txt").items() <= tested.items()
    for rest in rest_of("RUN"):
        for command in re.findall(r"python -m pip .*?(?= && |$)", rest):
            assert "--no-deps" in command
            assert {"--require-hashes", "--no-index", "."} & set(command.split()), command


def test_the_jars_that_it_checks_are_those_that_are_tested() -> None:
    assert f"KCL_JARS={kcl.PART.sha256}" in rest_of("ARG")
    assert kcl.PART.name.endswith(pins("image.txt")["amazon-kclpy"])


def test_its_commands_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    (entry,), (default,) = rest_of("ENTRYPOINT"), rest_of("CMD")
    assert yaml.safe_load(entry) == ["isthmus"]
    assert invoke(yaml.safe_load(default)) == 0
    run = re.findall(r"/opt/isthmus/bin/isthmus ([^&]*)", " ".join(rest_of("RUN")))
    assert [invoke(words.split()) for words in run] == [0]
    assert "Usage: isthmus" in capsys.readouterr().out


def test_the_ports_that_it_names_are_the_defaults() -> None:
    metrics = MetricsSection()
    assert rest_of("EXPOSE") == [f"{metrics.producer_port} {metrics.consumer_port}"]
    assert any(f"HEALTH_PORT={metrics.producer_port}" in rest for rest in rest_of("ENV"))


def asked(port: int) -> int:
    """Give the exit code of the health check."""
    program, *arguments = health_check()
    assert program == "python"
    # A proxy that is set, as many machines have one, is not to be asked.
    environment = {**os.environ, "HEALTH_PORT": str(port), "http_proxy": "http://127.0.0.1:1"}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, check=False)
    return done.returncode


@pytest.mark.parametrize("wrong, code", [("", 0), ("kinesis has been away for 61 s", 1)], ids=["well", "away"])
def test_its_health_check_says_what_the_process_says(wrong: str, code: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    with serving(Metrics(), "127.0.0.1", port, lambda: wrong):
        assert asked(port) == code
    assert asked(port) == 1
