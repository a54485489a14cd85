"""Which process this is, and whether another one of this host still lives. Reads /proc; elsewhere it knows nothing."""

import os
import socket
from pathlib import Path
from typing import Final

from isthmus.checkpoint.ports import Holder

_FIRST_NAMESPACE: Final = "pid:[4026531836]"
"""The PID namespace of the host itself (Linux, include/linux/proc_ns.h, PROC_PID_INIT_INO)."""
_STATE: Final = 0
_START_TIME: Final = 19
"""Fields of /proc/<pid>/stat after the command's closing parenthesis: 3 (state) and 22 (starttime), proc(5)."""
_ENDED: Final = {"Z", "X", "x"}
"""Killed and not waited for yet, or just being removed: it does nothing any more."""


def this_process(name: str) -> Holder:
    """Give this process as a holder, without `since`. What the operating system does not tell is the empty string.

    `name` says which of several holders in one process it is: two that compete for one lease need two names.
    """
    return process_of(os.getpid(), name)


def process_of(pid: int, name: str) -> Holder:
    """Give any process of this host, as `this_process` gives this one."""
    return Holder(name=name, host=_host(), boot_id=_boot_id(), pid=pid, started=_stat(pid)[1], since="")


def is_dead(holder: Holder) -> bool | None:
    """Say whether the holder's process is no more; None where that cannot be told from here.

    Only a process of this host and PID namespace can be judged: its boot is over, its pid is gone, or the pid is
    another process's now. One that is merely stopped is alive.
    """
    here = _boot_id()
    if holder.host != _host() or not (here and holder.boot_id and holder.started):
        return None
    if holder.boot_id != here:
        return True
    state, started = _stat(holder.pid)
    if started:
        return started != holder.started or state in _ENDED
    return _pid_is_free(holder.pid)


def _host() -> str:
    try:
        namespace = Path("/proc/self/ns/pid").readlink().name
    except OSError:
        namespace = _FIRST_NAMESPACE
    # Two containers of one name share boot id and pids: judged by those, the living would be taken for dead.
    name = socket.gethostname()
    return name if namespace == _FIRST_NAMESPACE else f"{name}/{namespace}"


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _stat(pid: int) -> tuple[str, str]:
    """Give a process's state and start time, both empty where there is nothing to read."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", ""
    fields = line.rpartition(")")[2].split()
    return fields[_STATE], fields[_START_TIME]


def _pid_is_free(pid: int) -> bool | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return None  # it is there, and hidden from us (mount option hidepid)
