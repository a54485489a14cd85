"""The commands that the demo runs as an operator would."""

import signal
from collections.abc import Generator, Sequence
from typing import Any, Final

import orjson

from isthmus.console.children import Child
from isthmus.console.demo.plan import Place
from isthmus.console.exits import Exit
from isthmus.errors import Fatal

_TRIES: Final = 20
"""With `--chaos` what a command asks may fail too."""


class Commands:
    """Runs them with the settings of a place, each in a process of its own; see `episodes.Ask`."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def __call__(self, *words: str) -> Generator[None, None, dict[str, Any]]:
        """Yield while a command runs, and give what it says. Raises `Fatal` when it fails time after time."""
        log = self._place.logs / f"{'-'.join(words[:2])}.log"
        wrong = ""
        for _ in range(_TRIES):
            log.unlink(missing_ok=True)
            arguments = [*words, "--config", str(self._place.settings), "--json"]
            command = Child(words[0], "isthmus.console.main", arguments, log)
            try:
                while command.poll() is None:
                    yield
            finally:
                command.signal(signal.SIGKILL)
                code = command.end()
            said = last_object(log.read_text(encoding="utf-8", errors="replace").splitlines())
            if code in {Exit.DONE, Exit.PARKED} and said is not None:
                return said
            wrong = f"`isthmus {' '.join(words)}` ended with code {code}. The end of its log:\n{command.log_tail()}"
        raise Fatal(wrong)


def last_object(lines: Sequence[str]) -> dict[str, Any] | None:
    """Give the last line that is a JSON object, None where there is none."""
    for line in reversed(lines):
        if line.startswith("{"):
            try:
                found: dict[str, Any] = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            return found
    return None
