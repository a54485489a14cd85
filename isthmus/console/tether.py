"""A child that never outlives its parent: `python -m isthmus.console.tether FD MODULE [ARGUMENT ...]`.

FD is the reading end of a pipe whose writing end only the parent holds. The kernel closes it when the parent ends,
however it ends; then this process ends at once. Linux is asked for a signal too, which also reaches a child that is
stopped or hangs outside of Python.
"""

import ctypes
import os
import runpy
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1  # prctl(2)
_ORPHANED = 1


def _watch(descriptor: int) -> None:
    # Nothing is ever written to the pipe: a read returns only at its end.
    os.read(descriptor, 1)
    os._exit(_ORPHANED)


def tie(descriptor: int) -> None:
    """Tie this process's life to whoever holds the pipe's writing end."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_watch, args=(descriptor,), name="tether", daemon=True).start()


def main() -> None:
    """Tie this process, then be the module."""
    descriptor, module = int(sys.argv[1]), sys.argv[2]
    tie(descriptor)
    sys.argv = [module, *sys.argv[3:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
