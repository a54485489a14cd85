"""`python -m tests.faults.kcl_worker CHILD ARGUMENT ...`: `isthmus ARGUMENT ...` whose daemon starts another child.

What it waits for between two lives of a daemon is shorter too: a row strikes hundreds of times.
"""

import sys
from typing import Final

from isthmus.console.kcl import folder, properties, supervising
from isthmus.console.main import main
from isthmus.retry import Backoff

_LIFE_SECONDS: Final = 3.0
_GRACE_MS: Final = 3_000
"""A daemon whose child has died waits so long for the others, and is of no use meanwhile."""


def _plant(child: str) -> None:
    ours = ((supervising, "_LIFE_SECONDS"), (supervising, "_BACKOFF"), (properties, "GRACE_MS"), (folder, "CHILD"))
    for module, name in ours:
        # Another name for it would leave the real one as it is, in silence.
        assert hasattr(module, name), name
    folder.CHILD = child  # type: ignore[misc]
    properties.GRACE_MS = _GRACE_MS  # type: ignore[misc]
    supervising._LIFE_SECONDS = _LIFE_SECONDS  # type: ignore[misc]
    supervising._BACKOFF = Backoff(first=0.2, most=2.0)  # type: ignore[misc]


if __name__ == "__main__":
    _plant(sys.argv[1])
    main(sys.argv[2:])
