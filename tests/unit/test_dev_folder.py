"""What runs is written down, and known by more than its number."""

from dataclasses import replace
from pathlib import Path

import pytest

from isthmus.checkpoint.process import this_process
from isthmus.console.dev.folder import Entry, Folder, State
from isthmus.console.dev.listening import address_of
from isthmus.errors import Fatal

HERE = replace(this_process("kinesis-mock"), since="2013-01-01T00:00:00.000Z")
ENTRY = Entry("kinesis-mock", HERE, "mark", "/tmp/kinesis-mock.log", 0.0)  # noqa: S108 - a name, not a file


def test_entries_are_kept_in_the_order_of_starting_until_they_are_crossed_out(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "dev")
    assert folder.entries() == {}
    other = replace(ENTRY, name="ministack", grace=3.0)
    folder.note(ENTRY)
    folder.note(other)
    folder.note(replace(ENTRY, url="http://127.0.0.1:4567"))
    assert list(Folder(tmp_path / "dev").entries().values()) == [replace(ENTRY, url="http://127.0.0.1:4567"), other]
    folder.forget("kinesis-mock")
    folder.forget("kinesis-mock")
    assert folder.entries() == {"ministack": other}


@pytest.mark.parametrize("written", ["", "[{}]", "[1]", '[{"name": "kinesis-mock"}]', "{", '"text"'])
def test_a_file_that_cannot_be_read_stops_everything(tmp_path: Path, written: str) -> None:
    (tmp_path / "running.json").write_text(written)
    with pytest.raises(Fatal, match="end them yourself"):
        Folder(tmp_path).entries()


def test_a_process_is_starting_until_it_answered() -> None:
    assert ENTRY.state() is State.STARTING
    assert replace(ENTRY, url="http://127.0.0.1:4567").state() is State.RUNNING


@pytest.mark.parametrize("other", [{"started": "1"}, {"boot_id": "another"}])
def test_a_process_with_our_number_that_is_another_one_is_not_ours(other: dict[str, str]) -> None:
    assert replace(ENTRY, process=replace(HERE, **other), url="x").state() is State.ENDED  # type: ignore[arg-type]  # texts all


def test_a_process_of_another_host_is_not_judged() -> None:
    with pytest.raises(Fatal, match="Nobody can tell"):
        replace(ENTRY, process=replace(HERE, host="elsewhere")).state()


@pytest.mark.parametrize(
    "written, host, port, near",
    [
        ("0100007F:1F90", "127.0.0.1", 8080, True),
        ("00000000:1F90", "0.0.0.0", 8080, False),  # noqa: S104 - what must not be
        ("0A01A8C0:0050", "192.168.1.10", 80, False),
        ("00000000000000000000000001000000:0050", "::1", 80, True),
        ("00000000000000000000000000000000:0050", "::", 80, False),
        ("0000000000000000FFFF00000100007F:0050", "::ffff:7f00:1", 80, True),
        ("0000000000000000FFFF00000A01A8C0:0050", "::ffff:c0a8:10a", 80, False),
    ],
)
def test_an_address_is_read_as_the_kernel_writes_it(written: str, host: str, port: int, near: bool) -> None:  # noqa: FBT001 - expected
    address = address_of(written)
    assert (str(address.host), address.port, address.on_loopback()) == (host, port, near)
