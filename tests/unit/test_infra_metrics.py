"""Dashboard, alarms and scrape settings name only metrics and labels that are exported, and show those that matter."""

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are one more package to lock

from isthmus.metrics import Metrics
from tests.fakes.infra import INFRA, ROOT, dashboard_program, read_yaml

DASHBOARD: Final[dict[str, Any]] = json.loads(
    (INFRA / "grafana" / "dashboards" / "isthmus.json").read_text(encoding="utf-8")
)
PANELS: Final = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ALERTS: Final = read_yaml("prometheus/alerts.yml")["groups"][0]["rules"]
OF_PROMETHEUS: Final = {"job", "instance", "le"}
"""Labels that the scrape adds, and the one of every histogram's buckets."""
UNITS: Final = {"s", "bytes", "short", "cps", "none"}
"""Of Grafana's, those that the metrics have."""
GRAFANA_COLUMNS: Final = 24
MATTERS: Final = {
    "isthmus_away",
    "isthmus_batch_seconds_bucket",
    "isthmus_changes_total",
    "isthmus_checkpoint_saved_timestamp_seconds",
    "isthmus_drained_total",
    "isthmus_freshness_seconds_bucket",
    "isthmus_gates_closed",
    "isthmus_gates_unknown",
    "isthmus_held_changes",
    "isthmus_held_drainable_keys",
    "isthmus_held_since_timestamp_seconds",
    "isthmus_parked_keys",
    "isthmus_parked_oldest_timestamp_seconds",
    "isthmus_parked_total",
    "isthmus_retries_total",
    "isthmus_rowhash_mismatches_total",
    "isthmus_shard_behind_seconds",
    "isthmus_unacknowledged_bytes",
    "isthmus_watermark_saved_timestamp_seconds",
}

each_panel = pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
each_alert = pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])


def exported() -> dict[str, set[str]]:
    """Give labels by name of every series, as Prometheus sees them."""
    found: dict[str, set[str]] = {}
    for metric in vars(Metrics()).values():
        if hasattr(metric, "_labelnames"):
            suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(metric._type, ("",))
            for suffix in suffixes:
                found[metric._name + suffix] = set(metric._labelnames)
    return found


def expressions() -> Iterator[str]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield target["expr"]
    for alert in ALERTS:
        yield alert["expr"]


def metrics_in(text: str) -> set[str]:
    return set(re.findall(r"\bisthmus_[a-z_]+", text))


def labels_in(expression: str) -> set[str]:
    """Give the labels by which an expression sums up, joins and selects."""
    lists = re.findall(r"\b(?:by|on) ?\(([^)]*)\)", expression)
    return {name for each in lists for name in re.findall(r"\w+", each)} | set(re.findall(r"[{,](\w+)=", expression))


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_metrics_and_labels_of_an_expression_are_exported(expression: str) -> None:
    known = exported()
    named = metrics_in(expression)
    assert named <= known.keys()
    labels = set().union(*(known[name] for name in named)) if named else set()
    assert labels_in(expression) <= labels | OF_PROMETHEUS


def test_every_file_of_the_infrastructure_names_only_metrics_that_are_exported() -> None:
    known = exported()
    families = {name.removesuffix("_bucket") for name in known}
    # The databases, and the library that the examples are.
    others = {"isthmus_examples"}
    for file in [*INFRA.rglob("*.yml"), *INFRA.rglob("*.json"), *INFRA.rglob("*.toml"), *INFRA.rglob("*.py")]:
        assert metrics_in(file.read_text(encoding="utf-8")) <= known.keys() | families | others, file


def test_what_matters_is_shown() -> None:
    shown = set().union(*(metrics_in(target["expr"]) for panel in PANELS for target in panel["targets"]))
    assert shown >= MATTERS


def test_the_dashboard_is_what_its_program_writes() -> None:
    assert (INFRA / "grafana" / "dashboards" / "isthmus.json").read_text(encoding="utf-8") == dashboard_program()[
        "text"
    ]()


@each_panel
def test_a_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["type"] in {"stat", "timeseries"}


@each_panel
def test_a_panel_asks_the_provisioned_source(panel: dict[str, Any]) -> None:
    (source,) = read_yaml("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    wanted = {"type": source["type"], "uid": source["uid"]}
    assert all(each["datasource"] == wanted for each in (panel, *panel["targets"]))
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@each_panel
def test_a_legend_names_labels_that_its_expression_keeps(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels_in(target["expr"])


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    place = panel["gridPos"]
    across = range(place["x"], place["x"] + place["w"])
    return set(itertools.product(across, range(place["y"], place["y"] + place["h"])))


def test_panels_lie_beside_each_other_inside_the_page() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert not taken & cells(panel), panel["title"]
        taken |= cells(panel)
    assert max(column for column, _ in taken) == GRAFANA_COLUMNS - 1
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@each_alert
def test_an_alarm_is_the_runbooks(alert: dict[str, Any]) -> None:
    if "isthmus_" not in alert["expr"]:
        assert alert["alert"] == "ProcessDown"
        return
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    assert f"`{alert['expr']}`" in runbook.replace("RETENTION_HOURS", "24")


@each_alert
def test_an_alarm_says_what_is_wrong_and_where_to_read_on(alert: dict[str, Any]) -> None:
    file, _, anchor = alert["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^## (.+)$", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    known = exported()
    labels = set().union(*(known.get(name, set()) for name in metrics_in(alert["expr"])))
    told = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"]))
    assert told <= labels | OF_PROMETHEUS


def promtool(*arguments: str) -> str:
    """Give what promtool says if it finds fault."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not on the path: it comes with Prometheus")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_promtool_accepts_the_scrape_settings_and_the_alarms() -> None:
    assert promtool("check", "config", str(INFRA / "prometheus" / "prometheus.yml")) == ""


def test_promtool_can_parse_what_the_dashboard_asks(tmp_path: Path) -> None:
    asked = [target["expr"].replace("$__rate_interval", "1m") for panel in PANELS for target in panel["targets"]]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(asked)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    assert promtool("check", "rules", str(file)) == ""
