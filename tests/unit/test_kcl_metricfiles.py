"""Metrics of many processes in one place."""

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from isthmus.clock import SystemClock
from isthmus.console.health import Health
from isthmus.console.kcl.metricfiles import MetricFile, MetricFiles
from isthmus.metrics import Metrics
from tests.fakes.clock import FakeClock, FakeStop

ROOT = Path(__file__).parents[2]
ONE_LIFE = """
import sys
from pathlib import Path
from isthmus.console.kcl.metricfiles import MetricFile
from isthmus.metrics import Metrics
metrics = Metrics()
metrics.records.labels("shard-1").inc(5)
metrics.freshness.observe(0.02)
metrics.behind.labels("shard-1").set(9)
MetricFile(Path(sys.argv[1]), metrics.registry).write()
"""


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    found = [
        sample.value
        for family in metrics.collect()
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    assert len(found) < 2, "one series is told once"
    return found[0] if found else None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "metrics"


def live_and_die(folder: Path) -> None:
    """Be a shard's process that writes once and ends."""
    subprocess.run([sys.executable, "-c", ONE_LIFE, str(folder)], check=True, cwd=ROOT)


def test_what_a_living_process_tells_is_added_to_what_this_one_counted(folder: Path) -> None:
    ours, theirs = Metrics(), Metrics()
    ours.of_others = MetricFiles(folder).families
    for metrics, records in ((ours, 2), (theirs, 3)):
        metrics.records.labels("shard-1").inc(records)
        metrics.freshness.observe(0.02)
    theirs.behind.labels("shard-1").set(7)
    MetricFile(folder, theirs.registry).write()
    assert value(ours, "isthmus_records_total", shard="shard-1") == 5
    assert value(ours, "isthmus_freshness_seconds_count") == 2
    assert value(ours, "isthmus_freshness_seconds_bucket", le="0.025") == 2
    assert value(ours, "isthmus_shard_behind_seconds", shard="shard-1") == 7


def test_what_a_process_counted_outlives_it_and_what_was_true_of_it_does_not(folder: Path) -> None:
    ours, files = Metrics(), MetricFiles(folder)
    ours.of_others = files.families
    for lives in range(1, 4):
        live_and_die(folder)
        for _ in range(2):
            assert value(ours, "isthmus_records_total", shard="shard-1") == 5 * lives
            assert value(ours, "isthmus_shard_behind_seconds", shard="shard-1") is None
        assert list(folder.iterdir()) == []


def test_a_process_that_was_killed_while_it_wrote_for_the_first_time_leaves_nothing(folder: Path) -> None:
    files = MetricFiles(folder)
    dead, living = folder / "1.0.draft", MetricFile(folder, Metrics().registry)
    living.write()
    (told,) = folder.iterdir()
    writing = told.with_suffix(".draft")
    for draft in (dead, writing):
        draft.write_text("# TYPE isthmus_rec")
    files.families()
    assert sorted(folder.iterdir()) == sorted([told, writing])


def test_the_sum_is_what_prometheus_reads(folder: Path) -> None:
    ours = Metrics()
    ours.of_others = MetricFiles(folder).families
    live_and_die(folder)
    registry = CollectorRegistry()
    registry.register(ours)
    families = list(text_string_to_metric_families(generate_latest(registry).decode()))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    assert {family.type for family in families if family.name == "isthmus_freshness_seconds"} == {"histogram"}


def test_half_a_file_is_left_for_the_next_look(folder: Path) -> None:
    files = MetricFiles(folder)
    MetricFile(folder, Metrics().registry).write()
    (path,) = folder.iterdir()
    path.write_text("isthmus_records_total{shard=", encoding="utf-8")
    assert files.families() == []


def test_nobody_looks_after_a_child_of_a_plain_daemon_and_it_goes_on(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    Counter("a", "b", registry=registry)
    stop = FakeStop(FakeClock())
    stop.request()
    MetricFile(tmp_path / "not there", registry).keep(stop)


def test_what_is_away_for_a_child_is_seen_from_outside(folder: Path) -> None:
    ours, theirs = Metrics(), Metrics()
    ours.of_others = MetricFiles(folder).families
    theirs.away.labels("front_office").set(1)
    MetricFile(folder, theirs.registry).write()
    health = Health(ours, SystemClock())
    assert health.wrong() == ""
    assert health._since.keys() == {"front_office"}
