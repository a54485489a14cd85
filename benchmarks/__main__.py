"""`python -m benchmarks`: print the table, write `build/bench.json`."""

import argparse
import platform
import sys
from pathlib import Path

import orjson

from benchmarks import deciding, decoding, kclchild, postgres, publishing
from benchmarks.rows import Row, table
from isthmus.garbage import collect_rarely

_PARTS = {
    "publisher": publishing.rows,
    "applier": deciding.rows,
    "postgres": postgres.rows,
    "decode": decoding.rows,
    "kclchild": kclchild.rows,
}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds of each contender (7)")
    parser.add_argument("--only", choices=sorted(_PARTS), action="append", help="only this part")
    parser.add_argument("--output", type=Path, default=Path("build/bench.json"), help="where the rows go as JSON")
    arguments = parser.parse_args()
    # As `produce` and `consume` do; it speeds up what they are compared with too.
    collect_rarely()
    found: list[Row] = []
    for name, measure in _PARTS.items():
        if not arguments.only or name in arguments.only:
            sys.stderr.write(f"measuring {name} ...\n")
            found += measure(arguments.rounds)
    sys.stdout.write(table(found) + "\n")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    arguments.output.write_bytes(
        orjson.dumps({**machine, "rows": [row.as_json() for row in found]}, option=orjson.OPT_INDENT_2)
    )


if __name__ == "__main__":
    main()
