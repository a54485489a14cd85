"""Tasks as threads."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class ThreadTask(Generic[T]):
    """A thread that keeps what its function returned or raised."""

    def __init__(self, name: str, function: Callable[[], T]) -> None:
        self._function = function
        self._result: T | None = None
        self._error: BaseException | None = None
        # Not a daemon: the interpreter must not end in the middle of somebody's transaction.
        self._thread = threading.Thread(target=self._run, name=name, daemon=False)
        self._thread.start()

    def done(self) -> bool:
        """Say whether the function has ended."""
        return not self._thread.is_alive()

    def result(self) -> T:
        """Wait until the function has ended; give what it returned or raise what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # it ended without an error, so this is its T

    def _run(self) -> None:
        try:
            self._result = self._function()
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever asks for the result
            self._error = error


class ThreadSpawn:
    """Starts each function in a thread of its own; see `Spawn`."""

    def __call__(self, name: str, function: Callable[[], T]) -> ThreadTask[T]:
        """Start the function."""
        return ThreadTask(name, function)
