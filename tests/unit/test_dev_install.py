"""Parts are installed once, whole or not at all, and only as they are pinned."""

import hashlib
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from isthmus.console.dev import install
from isthmus.console.dev.install import Part, digest, installed, locked, run
from isthmus.errors import Fatal
from isthmus.settings.load import cache_folder


def fill(folder: Path) -> Path:
    inner = folder / "library"
    (inner / "deep").mkdir(parents=True)
    (inner / "a.jar").write_bytes(b"a")
    (inner / "deep" / "b.jar").write_bytes(b"b")
    return inner


@pytest.fixture
def sha256(tmp_path: Path) -> str:
    return digest(fill(tmp_path / "reference"))


class Fetches:
    def __init__(self, what: Callable[[Path], Path] = fill) -> None:
        self.count = 0
        self._what = what

    def __call__(self, folder: Path) -> Path:
        self.count += 1
        return self._what(folder)


def left_in(home: Path) -> list[str]:
    return [path.name for path in home.iterdir() if not path.name.endswith(".lock")]


def test_a_part_is_fetched_once_and_said(tmp_path: Path, sha256: str) -> None:
    home, fetch, said = tmp_path / "home", Fetches(), list[str]()
    part = Part("part-1", sha256, fetch)
    for _ in range(2):
        folder = installed(part, home, said.append)
        assert (folder / "deep" / "b.jar").read_bytes() == b"b"
    assert (folder, fetch.count) == (home / "part-1", 1)
    assert said == [f"fetching part-1 into {home}"]
    assert left_in(home) == ["part-1"]


def test_what_does_not_hash_to_what_is_pinned_is_thrown_away(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="What was fetched as part-1 does not hash to what is pinned"):
        installed(Part("part-1", "0" * 64, Fetches()), tmp_path / "home")
    assert left_in(tmp_path / "home") == []


def test_a_part_that_was_changed_later_is_refused_and_stays_for_who_wants_to_look(tmp_path: Path, sha256: str) -> None:
    part = Part("part-1", sha256, Fetches())
    (installed(part, tmp_path) / "a.jar").write_bytes(b"changed")
    with pytest.raises(Fatal, match=r"does not hash to what is pinned\. Remove it"):
        installed(part, tmp_path)
    assert "part-1" in left_in(tmp_path)


def test_a_part_without_a_pinned_hash_is_as_its_fetcher_left_it(tmp_path: Path) -> None:
    part = Part("part-1", None, Fetches())
    (installed(part, tmp_path) / "a.jar").write_bytes(b"changed")
    assert installed(part, tmp_path) == tmp_path / "part-1"


def test_a_fetch_that_fails_leaves_nothing_and_is_tried_again_next_time(tmp_path: Path, sha256: str) -> None:
    def fail(folder: Path) -> Path:
        fill(folder)
        raise Fatal("no network")

    with pytest.raises(Fatal, match="no network"):
        installed(Part("part-1", sha256, Fetches(fail)), tmp_path / "home")
    assert left_in(tmp_path / "home") == []
    assert installed(Part("part-1", sha256, Fetches()), tmp_path / "home").is_dir()


def test_of_many_who_install_at_once_one_fetches_and_the_others_wait(tmp_path: Path, sha256: str) -> None:
    together = threading.Barrier(4)
    fetch = Fetches()
    part = Part("part-1", sha256, fetch)

    def one() -> Path:
        together.wait()
        return installed(part, tmp_path / "home")

    with ThreadPoolExecutor(4) as pool:
        found = {future.result() for future in [pool.submit(one) for _ in range(4)]}
    assert (found, fetch.count) == ({tmp_path / "home" / "part-1"}, 1)


def test_a_lock_holds_others_off_until_it_is_given_back(tmp_path: Path) -> None:
    inside = threading.Event()

    def enter() -> None:
        with locked(tmp_path / "deep" / ".lock"):
            inside.set()

    other = threading.Thread(target=enter)
    with locked(tmp_path / "deep" / ".lock"):
        other.start()
        assert not inside.wait(0.1)
    other.join()
    assert inside.is_set()


def test_the_digest_names_each_file_by_its_path_and_its_content(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    a, b = (hashlib.sha256(text).hexdigest() for text in (b"a", b"b"))
    assert digest(folder) == hashlib.sha256(f"{a}  a.jar\n{b}  deep/b.jar\n".encode()).hexdigest()
    (folder / "a.jar").rename(folder / "c.jar")
    assert digest(folder) != hashlib.sha256(f"{a}  a.jar\n{b}  deep/b.jar\n".encode()).hexdigest()


def test_a_program_that_fails_is_told_with_the_end_of_what_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("Waiting", [sys.executable, "-c", ""], tmp_path)
    with pytest.raises(Fatal, match=r"Packing failed \(exit code 3\):\nno such package$"):
        run("Packing", [sys.executable, "-c", "import sys; print('no such package'); sys.exit(3)"], tmp_path)
    with pytest.raises(Fatal, match="Packing failed: /nowhere/npm: No such file"):
        run("Packing", ["/nowhere/npm"], tmp_path)
    monkeypatch.setattr(install, "FETCH_SECONDS", 0.01)
    with pytest.raises(Fatal, match=r"Packing took longer than 0\.01 s"):
        run("Packing", [sys.executable, "-c", "while True: pass"], tmp_path)


def test_the_install_folder_is_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder({"XDG_CACHE_HOME": "/big/cache"}) == Path("/big/cache/isthmus")
    assert cache_folder({}) == tmp_path / ".cache" / "isthmus"
    assert cache_folder({"XDG_CACHE_HOME": "relative"}) == tmp_path / ".cache" / "isthmus"
