# ruff: noqa: INP001 - a program of its own
"""Writes the dashboard: `python infra/grafana/dashboard.py`. What it shows stands in `PANELS`, row by row.

A title asks what the panel answers; a description says what is good, and where to look when it is not.
"""

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

FILE: Final = Path(__file__).parent / "dashboards" / "isthmus.json"
SOURCE: Final = {"type": "prometheus", "uid": "isthmus-prometheus"}
"""As infra/grafana/provisioning/datasources names it."""
RATE: Final = "$__rate_interval"
COLUMNS: Final = 24
"""Width of Grafana's grid."""


class Panel(NamedTuple):
    """One panel."""

    title: str
    description: str
    unit: str
    """As Grafana calls it: `s`, `bytes`, `short`, `cps` (a number per second), `none`."""
    queries: dict[str, str]
    """Prometheus expression by legend, which may hold labels as `{{shard}}`."""
    stat: bool = False
    """One number instead of a line over time."""


def quantile(share: float, metric: str) -> str:
    """Give the expression for a quantile of a histogram, over all processes."""
    return f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket[{RATE}])))"


PANELS: Final[tuple[tuple[str, int, tuple[Panel, ...]], ...]] = (
    (
        "At a glance",
        4,
        (
            Panel(
                "Processes that answer",
                "Producers and workers that Prometheus can ask.",
                "none",
                {"up": 'sum(up{job="isthmus"})'},
                stat=True,
            ),
            Panel(
                "Freshness, 99 of 100",
                "From the change's own time to the commit in the front office.",
                "s",
                {"p99": quantile(0.99, "isthmus_freshness_seconds")},
                stat=True,
            ),
            Panel(
                "Changes applied",
                "How many took effect in the front office.",
                "cps",
                {"applied": f'sum(rate(isthmus_changes_total{{outcome="applied"}}[{RATE}]))'},
                stat=True,
            ),
            Panel(
                "Furthest behind",
                "The slowest shard, behind the newest record of the stream.",
                "s",
                {"behind": "max(isthmus_shard_behind_seconds)"},
                stat=True,
            ),
            Panel(
                "Keys parked",
                "Entities with something that could not be applied. `isthmus status` and `isthmus trace KEY` say why.",
                "short",
                # Each worker counts the whole front office.
                {"keys": "sum(max by (reason) (isthmus_parked_keys)) or vector(0)"},
                stat=True,
            ),
            Panel(
                "Parts away",
                "What a process cannot reach now. It waits and goes on by itself.",
                "none",
                {"away": "sum(isthmus_away) or vector(0)"},
                stat=True,
            ),
        ),
    ),
    (
        "Front office",
        8,
        (
            Panel(
                "How fresh is the front office?",
                "From the change's own time to the commit in the front office.",
                "s",
                {
                    "p50": quantile(0.5, "isthmus_freshness_seconds"),
                    "p99": quantile(0.99, "isthmus_freshness_seconds"),
                },
            ),
            Panel(
                "What becomes of changes?",
                "By outcome. `parked` wants somebody; `duplicate` and `fenced` are what retries and take-overs leave.",
                "cps",
                {"{{outcome}}": f"sum by (outcome) (rate(isthmus_changes_total[{RATE}]))"},
            ),
            Panel(
                "How long does a store's transaction take?",
                "One deciding transaction. When it grows, look at locks and disk of the front office.",
                "s",
                {
                    "p50": quantile(0.5, "isthmus_batch_seconds"),
                    "p99": quantile(0.99, "isthmus_batch_seconds"),
                },
            ),
        ),
    ),
    (
        "Shards",
        8,
        (
            Panel(
                "How far behind is each shard?",
                "Of the last read, behind the newest record. What grows for long asks for more shards or workers.",
                "s",
                # A shard that moved is told by two processes for a moment.
                {"{{shard}}": "max by (shard) (isthmus_shard_behind_seconds)"},
            ),
            Panel(
                "How old is each checkpoint?",
                "It moves only when something came. Old and behind at the same time: deciding does not go on.",
                "s",
                {"{{shard}}": "time() - max by (shard) (isthmus_checkpoint_saved_timestamp_seconds)"},
            ),
            Panel(
                "What waits in memory?",
                "Records read and not decided yet.",
                "short",
                {"{{shard}}": "sum by (shard) (isthmus_shard_buffered_records)"},
            ),
        ),
    ),
    (
        "Poison",
        8,
        (
            Panel(
                "Which keys are parked?",
                "Keys with something in the parking lot, by why. One key may be there for several reasons.",
                "short",
                {"{{reason}}": "max by (reason) (isthmus_parked_keys)"},
            ),
            Panel(
                "How old is the oldest parked change?",
                "By reason. The dead-letter queue keeps its copy for 14 days; docs/runbook.md says how to get it out.",
                "s",
                {"{{reason}}": "time() - min by (reason) (isthmus_parked_oldest_timestamp_seconds)"},
            ),
            Panel(
                "What is being parked?",
                "Changes put into the parking lot. Very many for one reason at once: a bad release of a translator.",
                "cps",
                {"{{reason}}": f"sum by (reason) (rate(isthmus_parked_total[{RATE}]))"},
            ),
            Panel(
                "Is one ID two rows?",
                "The same transaction ID with another row hash. Anything but 0: the cursor of a source is not unique.",
                "short",
                {"mismatches": "sum(increase(isthmus_rowhash_mismatches_total[1h]))"},
            ),
        ),
    ),
    (
        "What do gates hold?",
        8,
        (
            Panel(
                "Which gates are closed?",
                "By what they do: `hold` keeps changes back, `wait` lets every shard stand. `unknown` is closed too.",
                "none",
                {
                    # Each process reads all gates.
                    "{{mode}}": "max by (mode) (isthmus_gates_closed)",
                    "unknown": "max(isthmus_gates_unknown)",
                },
            ),
            Panel(
                "How many changes are held?",
                "And how many keys are free to be drained: for long above 0 while nothing is drained is wrong.",
                "short",
                {"changes": "max(isthmus_held_changes)", "keys to drain": "max(isthmus_held_drainable_keys)"},
            ),
            Panel(
                "How fast does it drain?",
                "Held changes that were decided after their gate had opened, by what became of them.",
                "cps",
                {"{{outcome}}": f"sum by (outcome) (rate(isthmus_drained_total[{RATE}]))"},
            ),
            Panel(
                "How old is the oldest held change?",
                "It grows while its gate is closed. `isthmus gate list` says who closed it, why and until when.",
                "s",
                {"age": "time() - (max(isthmus_held_since_timestamp_seconds) > 0)"},
            ),
        ),
    ),
    (
        "Back office",
        8,
        (
            Panel(
                "What does the producer do?",
                "Rows read, and changes that Kinesis has acknowledged, epoch markers among them.",
                "cps",
                {
                    "{{source}}: read": f"sum by (source) (rate(isthmus_modifications_detected_total[{RATE}]))",
                    "{{source}}: acknowledged": f"sum by (source) (rate(isthmus_changes_published_total[{RATE}]))",
                },
            ),
            Panel(
                "What has Kinesis not acknowledged?",
                "Bytes in memory. At publisher.max_unacknowledged_bytes reading the back office waits.",
                "bytes",
                {"{{instance}}": "sum by (instance) (isthmus_unacknowledged_bytes)"},
            ),
            Panel(
                "How old is each watermark?",
                "It moves only when something came. Old while bytes are not acknowledged: Kinesis or DynamoDB is away.",
                "s",
                {"{{source}}": "time() - max by (source) (isthmus_watermark_saved_timestamp_seconds)"},
            ),
            Panel(
                "How far is each source read?",
                "Positions between the highest one seen and the one that is acknowledged.",
                "short",
                {
                    "{{source}}": "max by (source) (isthmus_source_bound_position)"
                    " - max by (source) (isthmus_watermark_position)"
                },
            ),
        ),
    ),
    (
        "Trouble",
        8,
        (
            Panel(
                "Which attempts fail?",
                "And are made again, by part and cause. docs/runbook.md says what each cause means.",
                "cps",
                {"{{part}}: {{cause}}": f"sum by (part, cause) (rate(isthmus_retries_total[{RATE}]))"},
            ),
            Panel(
                "What is away?",
                "1 while a part cannot reach what it needs.",
                "none",
                {"{{instance}}: {{part}}": "max by (instance, part) (isthmus_away)"},
            ),
            Panel(
                "Who owns each source?",
                "Processes that take themselves for the owner. 0: nobody produces. 2 for long: one of them hangs.",
                "none",
                {"{{source}}": "sum by (source) (isthmus_owner_epoch > bool 0)"},
            ),
        ),
    ),
)


def dashboard() -> dict[str, Any]:
    """Give the dashboard as Grafana reads it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, height, row in PANELS:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "panels": [],
                "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
            }
        )
        width = COLUMNS // len(row)
        for index, panel in enumerate(row):
            place = {"x": index * width, "y": top + 1, "w": width, "h": height}
            panels.append({"id": len(panels) + 1, **_panel(panel), "gridPos": place})
        top += 1 + height
    return {
        "uid": "isthmus",
        "title": "Isthmus",
        "description": "From the back office to the front office. Made by infra/grafana/dashboard.py.",
        "tags": ["isthmus"],
        "schemaVersion": 41,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "templating": {"list": []},
        "links": [],
        "panels": panels,
    }


def _panel(panel: Panel) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
        for index, (legend, expression) in enumerate(panel.queries.items())
    ]
    custom = {} if panel.stat else {"custom": {"drawStyle": "line", "fillOpacity": 10, "showPoints": "never"}}
    return {
        "type": "stat" if panel.stat else "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, **custom}, "overrides": []},
        "options": _STAT_OPTIONS if panel.stat else _LINE_OPTIONS,
    }


_STAT_OPTIONS: Final = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "graphMode": "area"}
_LINE_OPTIONS: Final = {
    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
    "tooltip": {"mode": "multi", "sort": "desc"},
}


def text() -> str:
    """Give the dashboard's file."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
