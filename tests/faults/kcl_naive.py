"""amazon-kclpy's own sample application with the few lines filled in that it asks for: each event written as it comes.

Its checkpoints, its retries and its way with errors stay as they are. Started by the daemon, as our own child is.
"""

import json
import sqlite3
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

from tests.fakes import kcl_sample

_TALLY: Final = "INSERT INTO tally VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET n = n + 1 RETURNING n"
_EFFECT: Final = "INSERT INTO effect (txn, key, version, nth) VALUES (?, ?, ?, ?)"
_UPSERT: Final = "INSERT OR REPLACE INTO thing (key, version, size, fate) VALUES (?, ?, ?, ?)"


def main() -> None:
    """Serve a shard."""
    settings = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    front = sqlite3.connect(settings["store"]["url"].removeprefix("sqlite:///"), isolation_level=None, timeout=30)
    sys.path.insert(0, str(kcl_sample.folder()))
    # What lies there is compared with its hash.
    sys.dont_write_bytecode = True
    from amazon_kclpy import kcl  # type: ignore[import-not-found]  # noqa: PLC0415 - fetched
    from samples.sample_kclpy_app import RecordProcessor  # type: ignore[import-not-found]  # noqa: PLC0415 - fetched

    class Naive(RecordProcessor):  # type: ignore[misc]
        def process_record(self, data: bytes, _partition_key: str, _sequence: int, _sub_sequence: int) -> None:
            for event in json.loads(data):
                if "subject" in event:
                    _write(front, event)

    kcl.KCLProcess(Naive()).run()


def _write(front: sqlite3.Connection, event: dict[str, Any]) -> None:
    """Write one event into the front office; all of it or nothing."""
    key, version, verb = event["subject"], event["sequence"], event["type"].rpartition(".")[2]
    front.execute("BEGIN IMMEDIATE")
    try:
        if verb == "upsert":
            front.execute(_UPSERT, (key, version, event["data"]["size"], event["data"]["fate"]))
        elif verb == "delete":
            front.execute("DELETE FROM thing WHERE key = ?", (key,))
        ((nth,),) = front.execute(_TALLY, (key,)).fetchall()
        front.execute(_EFFECT, (event["id"], key, version, nth))
        front.execute("COMMIT")
    except BaseException:
        front.execute("ROLLBACK")
        raise


if __name__ == "__main__":
    main()
