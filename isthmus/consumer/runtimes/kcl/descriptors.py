"""The protocol's two pipes, out of everybody's reach: stdin and stdout belong to the daemon, not to user code.

A line on stdout that looks like a checkpoint is obeyed, whoever printed it. Imports nothing but the standard library
and errors, so that `take_over` can run before anything else is loaded.
"""

import fcntl
import io
import os
import sys
from contextlib import suppress
from typing import Final

from isthmus.errors import Fatal

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_FIRST_PRIVATE: Final = 3
_PAGE = 1024 * 1024
"""Bytes read at once, at most: a line may have many MiB, a pipe gives 64 KiB."""


class DescriptorLines:
    """The line to the daemon over two descriptors, which it owns; see `Lines`.

    Every use makes sure that they are still what they were: a descriptor that somebody closed may be given to the next
    file or socket that is opened, and what we write would go there. A process forked from this one has no line.
    """

    def __init__(self, reading: int, writing: int) -> None:
        self.reading = reading
        """The descriptor that is read from; -1 once it is no longer ours."""
        self._writing = writing
        self._owner = os.getpid()
        self._identities = _identity(reading), _identity(writing)
        # Not closed with its object: in a forked process that may happen when the number is somebody else's.
        self._reader = open(reading, "rb", buffering=_PAGE, closefd=False)  # noqa: SIM115 - open as long as this is

    def read_line(self) -> bytes | None:
        """Wait for a whole line; None at the end, also when it comes in the middle of a line."""
        self._still_ours()
        line = self._reader.readline()
        return line if line.endswith(b"\n") else None

    def write_line(self, line: bytes) -> None:
        """Write a line whole. An end of line before it keeps it apart from what may have been printed before us."""
        self._still_ours()
        rest = memoryview(b"\n" + line + b"\n")
        while rest:
            rest = rest[os.write(self._writing, rest) :]

    def close(self) -> None:
        """Close both. Safe to repeat."""
        if self.reading >= 0:
            self._reader.close()
        self.disown()

    def disown(self) -> None:
        """Close both descriptors by their numbers, touching nothing that another thread may hold."""
        for descriptor in (self.reading, self._writing):
            if descriptor >= 0:
                with suppress(OSError):
                    os.close(descriptor)
        self.reading = self._writing = -1

    def _still_ours(self) -> None:
        if os.getpid() != self._owner:
            raise Fatal("A process forked from a shard's child has no line to the daemon.")
        try:
            same = (_identity(self.reading), _identity(self._writing)) == self._identities
        except OSError:
            same = False
        if not same:
            raise Fatal("Something in this process closed the line to the daemon.")


def take_over() -> DescriptorLines:
    """Take stdin and stdout for the protocol: what is printed from now on, by whatever means, goes to stderr.

    To be called first, before any user code is imported. Programs that are started inherit none of the protocol, and
    processes that are forked lose it at once.
    """
    reading = fcntl.fcntl(_STDIN, fcntl.F_DUPFD_CLOEXEC, _FIRST_PRIVATE)
    writing = fcntl.fcntl(_STDOUT, fcntl.F_DUPFD_CLOEXEC, _FIRST_PRIVATE)
    os.dup2(_STDERR, _STDOUT)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, _STDIN)
    os.close(nothing)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # It was made for a pipe, in large blocks; as a twin of stderr, what is printed before a crash is to be seen.
        sys.stdout.reconfigure(line_buffering=True)
    lines = DescriptorLines(reading, writing)
    # A forked process that lives on would keep the pipe open, and the daemon would wait for its end.
    os.register_at_fork(after_in_child=lines.disown)
    return lines


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino
