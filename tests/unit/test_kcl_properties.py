"""What the daemon is told."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.console.kcl.folder import Folder
from isthmus.console.kcl.properties import as_text, properties
from isthmus.settings import Settings
from tests.fakes.settings_file import RIGHT, Files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def of(files: Files, added: str = "") -> dict[str, str]:
    return properties(load(files, added), "here/1/a", "/run/child")


def load(files: Files, added: str) -> Settings:
    return files.load(RIGHT + added)


def test_nothing_that_is_billed_is_turned_on_by_default(files: Files) -> None:
    made = of(files)
    assert made["retrievalMode"] == "POLLING"
    assert made["metricsLevel"] == "NONE"


def test_no_time_limit_stops_the_machine_while_a_gate_or_an_outage_holds_a_batch(files: Files) -> None:
    assert "timeoutInSeconds" not in of(files)


def test_a_lease_is_taken_away_and_not_asked_for(files: Files) -> None:
    assert of(files)["isGracefulLeaseHandoffEnabled"] == "false"


def test_a_soft_stop_is_waited_for(files: Files) -> None:
    assert 0 < int(of(files)["shutdownGraceMillis"]) < 10_000


def test_what_was_chosen_is_told(files: Files) -> None:
    made = of(files, '\n[kcl]\nretrieval = "fan-out"\nstart = "latest"\nfailover_time = 3.0\ntable = "leases"\n')
    assert (made["retrievalMode"], made["consumerName"]) == ("FANOUT", "leases")
    assert made["applicationName"] == "leases"
    assert made["initialPositionInStream"] == "LATEST"
    assert (made["failoverTimeMillis"], made["leaseAssignmentIntervalMillis"]) == ("3000", "1500")
    assert "maxRecords" not in made


def test_reads_are_bounded_by_the_consumers_settings(files: Files) -> None:
    made = of(files, "\n[consumer]\nmax_records = 77\npoll_interval = 0.5\n")
    assert (made["maxRecords"], made["idleTimeBetweenReadsInMillis"]) == ("77", "500")


def test_endpoints_are_told_service_by_service_and_secrets_never(files: Files) -> None:
    made = of(
        files,
        '\n[aws]\nendpoint_url = "http://127.0.0.1:1"\nendpoints.kinesis = "http://127.0.0.1:2"\nregion = "eu-x-1"\n'
        'access_key_id = "me"\nsecret_access_key = "hush"\n',
    )
    assert (made["kinesisEndpoint"], made["dynamoDBEndpoint"]) == ("http://127.0.0.1:2", "http://127.0.0.1:1")
    assert made["regionName"] == "eu-x-1"
    assert "hush" not in as_text(made)


def test_one_property_is_one_line() -> None:
    assert as_text({"a": "1", "b": " x\\y\n"}) == "a = 1\nb = \\ x\\\\y\\n\n"


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_a_value_of_any_letters_is_ascii_in_the_file_and_comes_back(value: str) -> None:
    text = as_text({"name": value})
    assert text.isascii()
    assert text.count("\n") == 1
    assert read_as_java_does(text) == value


def read_as_java_does(text: str) -> str:
    """Read one property (java.util.Properties.load)."""
    escaped = text.removesuffix("\n").partition(" = ")[2].lstrip(" \t\f")
    letters, units = iter(escaped), bytearray()
    for letter in letters:
        taken = letter
        if letter == "\\":
            taken = next(letters)
            if taken == "u":
                taken = chr(int("".join(next(letters) for _ in range(4)), 16))
            else:
                taken = {"n": "\n", "r": "\r", "t": "\t"}.get(taken, taken)
        units += taken.encode("utf-16-be", "surrogatepass")
    return units.decode("utf-16-be")


def test_the_folder_of_a_worker_starts_the_child_of_these_settings(tmp_path: Path) -> None:
    with Folder() as folder:
        folder.write({"a": "b"}, tmp_path / "with blank.toml", "INFO")
        said = subprocess.run(["sh", "-n", str(folder.child)], check=True, capture_output=True)  # noqa: S607 - our own script
        assert said.stderr == b""
        assert "'" in folder.child.read_text(encoding="utf-8")
        assert folder.path.stat().st_mode & 0o077 == 0
    assert not folder.path.exists()
