"""The folder of a worker's life goes with it, and one that was left behind is removed by the next."""

import subprocess
import sys
from pathlib import Path

import pytest

from isthmus.console.kcl.folder import Folder

LIVES = """
import sys
from isthmus.console.kcl.folder import Folder
folder = Folder()
print(folder.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _a_place_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def life(tmp_path: Path) -> "tuple[subprocess.Popen[str], Path]":
    """Start a process that has a folder, and give both."""
    environment = {"TMPDIR": str(tmp_path)}
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", LIVES], stdin=pipe, stdout=pipe, text=True, env=environment)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_what_a_killed_worker_left_behind_is_removed_by_the_next_and_what_lives_is_not(tmp_path: Path) -> None:
    (dead, left), (living, there) = life(tmp_path), life(tmp_path)
    try:
        dead.kill()
        dead.wait()
        assert left.is_dir()
        with Folder() as mine:
            assert not left.exists()
            assert there.is_dir()
            assert sorted(each for each in tmp_path.iterdir()) == sorted([there, mine.path])
        assert list(tmp_path.iterdir()) == [there]
    finally:
        for process in (dead, living):
            process.kill()
            process.communicate()


def test_a_folder_that_is_just_being_made_is_left_alone(tmp_path: Path) -> None:
    made = tmp_path / "isthmus-kcl-made"
    made.mkdir()
    (made / "owner.new").touch()
    with Folder():
        assert made.is_dir()


def test_what_only_looks_like_a_workers_folder_is_left_alone(tmp_path: Path) -> None:
    others = tmp_path / "others"
    others.mkdir()
    (others / "owner").touch()
    (tmp_path / "isthmus-kcl-link").symlink_to(others)
    named = tmp_path / "isthmus-kcl-file"
    named.touch()
    with Folder():
        pass
    assert (others / "owner").is_file()
    assert named.is_file()
