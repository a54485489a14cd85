"""The demo's own figures, of a month. Nobody else does what it does: what is wanted stands in the baseline's place."""

import subprocess
import sys
from typing import Any

import orjson

from benchmarks.rows import Row

DAYS = 31
_CHANGES_PER_S, _FRESHNESS_MS, _MEMORY_MB = 5_000.0, 700.0, 150.0
"""Wanted: the first load; the p99 of the live phase, with 200 ms between reads; each process at most."""


def rows(_rounds: int) -> list[Row]:
    """Run it once. Raises RuntimeError when its oracle finds something wrong."""
    told = _played(["--days", str(DAYS)])
    peak = told["peak_rss_mb"]
    name = f"demo, {DAYS} days"
    return [
        _at_least(f"{name}, first load", told["changes_per_s"], _CHANGES_PER_S, "changes/s"),
        _at_most(f"{name}, live, from commit to commit, p99", told["freshness_ms"]["p99"], _FRESHNESS_MS, "ms"),
        _at_most(f"{name}, memory of the producer", peak["producer"], _MEMORY_MB, "MB"),
        _at_most(f"{name}, memory of the consumer", peak["consumer"], _MEMORY_MB, "MB"),
    ]


def _played(options: list[str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "isthmus.console", "demo", "--json", *options]
    run = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - our own program
    lines = run.stdout.splitlines()
    told: dict[str, Any] = orjson.loads(lines[-1]) if lines and lines[-1].startswith(b"{") else {}
    if run.returncode or not told.get("ok"):
        raise RuntimeError(run.stderr.decode(errors="replace")[-500:])
    return told


def _at_least(name: str, ours: float, wanted: float, unit: str) -> Row:
    return Row(name, ours, wanted, round(ours / wanted, 3), unit, 1.0, "baseline: what is wanted, at least")


def _at_most(name: str, ours: float, wanted: float, unit: str) -> Row:
    return Row(name, ours, wanted, round(wanted / ours, 3), unit, 1.0, "baseline: what is wanted, at most")
