"""How much memory a process has used at most."""

from contextlib import suppress
from pathlib import Path

_KIB = 1024


def high_water_mb(pid: int) -> float:
    """Give a living process's peak of resident memory, in megabytes of 10^6 bytes; 0 where the system does not tell.

    From /proc/PID/status, VmHWM (proc(5), Linux). What wait4(2) tells at the end is no less than what the parent had
    in memory when it started the child.
    """
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name == "VmHWM":
                return round(int(value.split()[0]) * _KIB / 1e6, 1)
    return 0.0
