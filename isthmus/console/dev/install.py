"""Fetches what a stand-in is made of: once, whole or not at all, and only what hashes to what is pinned."""

import contextlib
import fcntl
import hashlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.errors import Fatal

FETCH_SECONDS = 600
"""Ten minutes for 62 MB, the most that one part weighs, over a slow line."""
_TAIL = 600

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Part:
    """Something to install: a folder of files that are the same for everybody."""

    name: str
    """Its folder's name, with the version."""
    sha256: str | None
    """What `digest` gives for its files. None: whoever fetches checks them, and they differ from machine to machine."""
    fetch: Callable[[Path], Path]
    """Fetches into an empty folder and gives the folder with the files, there or below it. Raises `Fatal`."""

    def fits(self, folder: Path) -> bool:
        """Say whether a folder holds what is pinned."""
        return self.sha256 is None or digest(folder) == self.sha256


def silently(_: str) -> None:
    """Say nothing."""


def installed(part: Part, home: Path, say: Say = silently) -> Path:
    """Give the folder of a part below `home`; fetch it where it is not there yet. `say` hears what takes long.

    Safe when several processes do so at once: the others wait, and find it done. Raises `Fatal` when it cannot be
    fetched, and when the files, new or old, do not hash to what is pinned; nothing new is left then.
    """
    folder = home / part.name
    with locked(home / f".{part.name}.lock"):
        if not folder.is_dir():
            say(f"fetching {part.name} into {home}")
            with tempfile.TemporaryDirectory(dir=home, prefix=f".{part.name}-") as name:
                fetched = part.fetch(Path(name))
                if not part.fits(fetched):
                    raise Fatal(f"What was fetched as {part.name} does not hash to what is pinned; it was thrown away.")
                fetched.rename(folder)
        elif not part.fits(folder):
            raise Fatal(f"{folder} does not hash to what is pinned.", hint="Remove it: it is fetched again.")
    return folder


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Be alone with what the file stands for, among all processes of this machine; waits for the others."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def digest(folder: Path) -> str:
    """Give one SHA-256 for a folder: of the lines `HASH  PATH`, one for each file in it, in the order of paths."""
    files = sorted((file.relative_to(folder).as_posix(), file) for file in folder.rglob("*") if file.is_file())
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {path}\n" for path, file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def run(what: str, command: Sequence[str], folder: Path) -> None:
    """Run a program that fetches or builds, in a folder. Raises `Fatal` with the end of what it said."""
    try:
        done = subprocess.run(  # noqa: S603 - programs that `programs` found, with arguments of ours
            command, cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, timeout=FETCH_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Fatal(f"{what} took longer than {FETCH_SECONDS} s and was given up.") from None
    except OSError as error:
        raise Fatal(f"{what} failed: {command[0]}: {error.strerror}.") from error
    if done.returncode:
        said = (done.stdout + done.stderr)[-_TAIL:].decode(errors="replace").strip()
        raise Fatal(f"{what} failed (exit code {done.returncode}):\n{said}")
