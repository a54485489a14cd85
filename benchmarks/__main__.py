"""`python -m benchmarks`: print the table, write `build/bench.json`; a part alone goes into a file of its own name."""

import argparse
import platform
import sys
from pathlib import Path

import orjson

from benchmarks import deciding, decoding, demo, kclchild, parking, postgres, publishing
from benchmarks.rows import Row, table
from isthmus.garbage import collect_rarely

_PARTS = {
    "publisher": publishing.rows,
    "applier": deciding.rows,
    "postgres": postgres.rows,
    "parking": parking.rows,
    "decode": decoding.rows,
    "kclchild": kclchild.rows,
    "demo": demo.rows,
}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds of each contender (7)")
    parser.add_argument("--only", choices=sorted(_PARTS), action="append", help="only this part")
    parser.add_argument(
        "--output", type=Path, help="where the rows go as JSON (build/bench.json, build/bench-PART.json)"
    )
    arguments = parser.parse_args()
    named = "-".join(["bench", *arguments.only]) if arguments.only else "bench"
    output = arguments.output or Path("build") / f"{named}.json"
    # As `produce` and `consume` do; it speeds up what they are compared with too.
    collect_rarely()
    found: list[Row] = []
    failed = False
    for name, measure in _PARTS.items():
        if not arguments.only or name in arguments.only:
            sys.stderr.write(f"measuring {name} ...\n")
            try:
                found += measure(arguments.rounds)
            except Exception as error:  # noqa: BLE001 - the other parts' rows are worth having
                sys.stderr.write(f"{name} failed: {error!r}\n")
                failed = True
    sys.stdout.write(table(found) + "\n")
    output.parent.mkdir(parents=True, exist_ok=True)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    output.write_bytes(orjson.dumps({**machine, "rows": [row.as_json() for row in found]}, option=orjson.OPT_INDENT_2))
    sys.exit(failed)


if __name__ == "__main__":
    main()
