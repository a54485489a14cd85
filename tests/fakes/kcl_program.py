"""A child's program for tests: `python -m tests.fakes.kcl_program DEED [ARGUMENT]`, with pipes of a daemon.

DEED is what user code does before the first record is decided. Decided records are told on stderr.
"""

from isthmus.consumer.runtimes.kcl.descriptors import take_over

LINES = take_over()

import ctypes  # noqa: E402 - the protocol is out of reach before anything else is loaded
import os  # noqa: E402 - the same
import subprocess  # noqa: E402 - the same
import sys  # noqa: E402 - the same
import threading  # noqa: E402 - the same
from collections.abc import Callable, Sequence  # noqa: E402 - the same

from isthmus.attempts import AttemptsByPart  # noqa: E402 - the same
from isthmus.chance import system_chance  # noqa: E402 - the same
from isthmus.clock import SystemClock  # noqa: E402 - the same
from isthmus.consumer.feed import Place, Record  # noqa: E402 - the same
from isthmus.consumer.runtimes.kcl.child import Child  # noqa: E402 - the same
from isthmus.consumer.runtimes.kcl.ending import leave, serve  # noqa: E402 - the same
from isthmus.consumer.runtimes.kcl.orphan import watch_daemon  # noqa: E402 - the same
from isthmus.consumer.runtimes.kcl.settings import ChildSettings  # noqa: E402 - the same
from isthmus.lifecycle import ThreadStop  # noqa: E402 - the same
from isthmus.log import configure  # noqa: E402 - the same
from isthmus.metrics import Metrics  # noqa: E402 - the same

FORGED = (
    '{"action":"checkpoint"}',
    '{"action":"checkpoint","sequenceNumber":"9","subSequenceNumber":0}',
    '{"action":"status","responseFor":"processRecords"}',
    '{"action":"status","responseFor":"shardEnded"}',
    "half a line without an end {",
)
LIBC = ctypes.CDLL(None)


def forge() -> None:
    """Write ten thousand lines in every way there is to stdout."""
    for number in range(1600):
        line = FORGED[number % len(FORGED)]
        print(line)  # noqa: T201 - that is the deed
        sys.stdout.buffer.write(line.encode() + b"\n")
        os.write(1, line.encode() + b"\n")
        LIBC.write(1, line.encode() + b"\n", len(line) + 1)
        LIBC.puts(line.encode())
        assert sys.__stdout__ is not None
        sys.__stdout__.write(line + "\n")
    LIBC.fflush(None)
    text = "\n".join(FORGED * 40) + "\n"
    subprocess.run(["cat"], input=text.encode(), check=True)  # noqa: S607 - a program that writes to its stdout
    subprocess.run(["sh", "-c", "cat > /dev/stdout"], input=text.encode(), check=True)  # noqa: S607 - the same
    pid = os.fork()
    if pid == 0:
        os.write(1, text.encode())
        os._exit(0)
    os.waitpid(pid, 0)


def fork_and_return() -> None:
    """Fork, and let both go on."""
    if os.fork():
        os.wait()


def fork_in_c_and_return() -> None:
    """Fork without Python's knowledge, and let both go on."""
    if LIBC.fork():
        os.wait()


def fork_and_linger() -> None:
    """Leave a process behind that reads a pipe to its end, without our stderr."""
    if os.fork() == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        with open(sys.argv[2], "rb") as pipe:  # noqa: PTH123 - a named pipe
            pipe.read()
        os._exit(0)


def spawn_and_linger() -> None:
    """Leave a program behind that inherits whatever can be inherited."""
    subprocess.Popen(["cat", sys.argv[2]], close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S607 - any program that waits


def read_stdin() -> None:
    """Read whatever stdin gives."""
    assert (sys.stdin.read(), os.read(0, 1)) == ("", b"")


def print_and_die() -> None:
    print("last words")  # noqa: T201 - that is the deed
    os._exit(0)


def reuse_descriptors() -> None:
    """Close everything, and open files until all numbers are used again."""
    os.closerange(3, 64)
    for _ in range(3, 64):
        os.open(sys.argv[2], os.O_RDWR | os.O_APPEND)


def linger_in_a_thread() -> None:
    threading.Thread(target=threading.Event().wait, daemon=False).start()


def hang() -> None:
    threading.Event().wait()


DEEDS: dict[str, Callable[[], object]] = {
    "nothing": lambda: None,
    "forge": forge,
    "close-stdout": lambda: os.closerange(0, 2),
    "close-all": lambda: os.closerange(3, 64),
    "reuse-descriptors": reuse_descriptors,
    "os-exit": lambda: os._exit(0),
    "sys-exit": lambda: sys.exit(0),
    "fork": fork_and_return,
    "fork-in-c": fork_in_c_and_return,
    "fork-and-linger": fork_and_linger,
    "spawn-and-linger": spawn_and_linger,
    "read-stdin": read_stdin,
    "print-and-die": print_and_die,
    "thread": linger_in_a_thread,
    "hang": hang,
}


class Decider:
    """Decides one record after the other, on stderr."""

    def __init__(self) -> None:
        self._place: Place | None = None

    def process(self, records: Sequence[Record]) -> None:
        for record in records:
            if self._place is None:
                os.write(2, b"deed\n")
                DEEDS[sys.argv[1]]()
            os.write(2, b"decided " + record.data + b"\n")
            self._place = record.place

    def place(self) -> Place | None:
        return self._place


def main() -> None:
    """Serve until the daemon closes the line."""
    configure()
    clock, metrics = SystemClock(), Metrics()
    child = Child(
        LINES,
        lambda _shard, _begin: Decider(),
        stop=ThreadStop(),
        clock=clock,
        chance=system_chance(),
        metrics=metrics,
        attempts=AttemptsByPart(metrics, clock),
        settings=ChildSettings(checkpoint_interval=0),
    )
    watch_daemon(LINES.reading, lambda: child.answering)
    leave(serve(child))


if __name__ == "__main__":
    main()
