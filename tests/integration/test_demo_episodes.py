"""The demo in which the store goes away, a gate is closed and a translator is mended, as a user starts it."""

import json
import subprocess
import sys
from pathlib import Path

SECONDS = 400.0


def test_what_goes_wrong_in_the_middle_is_mended_and_the_front_office_is_right_all_the_same(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "isthmus.console.main", "demo", "--days", "1", "--dir", str(tmp_path / "demo")),
            *("--outage", "--poison", "--gate", "--json"),
        ],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["ok"], told["mismatches"]) == (True, 0)
    assert told["outage"]["seconds"] == 20.0
    assert told["gate"]["held_changes"] > 0
    assert told["gate"]["effects"] == 0
    assert told["poison"]["parked_changes"] > 0
    assert told["poison"]["redriven"]["applied"] > 0


def test_these_do_not_go_with_the_kcl() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "isthmus.console.main", "demo", "--runtime", "kcl", "--gate"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 2
    assert "go with --runtime local" in done.stderr
