"""The product's own child with deeds planted in it; started by the daemon as the product's is, see `kcl_worker`."""

import sys
from pathlib import Path

from isthmus.console.kcl import child
from tests.faults import kcl_deeds

if __name__ == "__main__":
    kcl_deeds.plant(Path(sys.argv[1]).parent)
    child.main()
