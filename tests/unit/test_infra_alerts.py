"""When the alarms on parked changes and on gates are raised: by Prometheus' own tool, and against what AWS is told."""

import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are one more package to lock

from isthmus import aws
from tests.faults.alarms import AgeAlarm, rule_of

PARKED: Final = 'isthmus_parked_oldest_timestamp_seconds{instance="a", reason="contract"}'
UNKNOWN: Final = 'isthmus_gates_unknown{instance="a"}'
CLOSED: Final = 'isthmus_gates_closed_since_timestamp_seconds{instance="a"}'
DRAINABLE: Final = 'isthmus_held_drainable_keys{instance="a"}'
DRAINED: Final = 'isthmus_drained_total{instance="a", outcome="applied"}'
ELSEWHERE: Final = 'isthmus_drained_total{instance="b", outcome="applied"}'
DAY: Final = 24 * 60
"""In minutes, as everything here."""

FIRES: Final = [
    ("ParkedTooLong", {PARKED: f"0x{8 * DAY}"}, 7 * DAY, False),
    ("ParkedTooLong", {PARKED: f"0x{8 * DAY}"}, 7 * DAY + 1, True),
    ("GateUnknown", {UNKNOWN: "1x20"}, 4, False),
    ("GateUnknown", {UNKNOWN: "1x20"}, 5, True),
    ("GateUnknown", {UNKNOWN: "0x20"}, 10, False),
    ("GateClosedLong", {CLOSED: f"60x{2 * DAY}"}, DAY + 1, False),
    ("GateClosedLong", {CLOSED: f"60x{2 * DAY}"}, DAY + 2, True),
    # None is closed that has no end.
    ("GateClosedLong", {CLOSED: f"0x{2 * DAY}"}, DAY + 2, False),
    # Nobody has ever drained anything, so that the counter is not there.
    ("HeldDoesNotDrain", {DRAINABLE: "3x20"}, 4, False),
    ("HeldDoesNotDrain", {DRAINABLE: "3x20"}, 5, True),
    ("HeldDoesNotDrain", {DRAINABLE: "3x20", DRAINED: "7x20"}, 15, True),
    ("HeldDoesNotDrain", {DRAINABLE: "3x20", DRAINED: "7+1x20"}, 15, False),
    ("HeldDoesNotDrain", {DRAINABLE: "3x20", DRAINED: "7x20", ELSEWHERE: "7+1x20"}, 15, True),
    ("HeldDoesNotDrain", {DRAINABLE: "0x20", DRAINED: "7x20"}, 15, False),
]


@pytest.mark.parametrize("alarm, series, minute, fires", FIRES)
def test_an_alarm_fires_when_it_must_and_no_sooner(
    alarm: str, series: dict[str, str], minute: int, tmp_path: Path, *, fires: bool
) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not on the path: it comes with Prometheus")
    # What it says is for people, and has tests of its own.
    rule = {**rule_of(alarm), "annotations": {}}
    (tmp_path / "rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "one", "rules": [rule]}]}), encoding="utf-8"
    )
    labels = {"instance": "a", **rule["labels"], **({"reason": "contract"} if PARKED in series else {})}
    test: dict[str, Any] = {
        "rule_files": ["rules.yml"],
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "alert_rule_test": [
                    {
                        "eval_time": f"{minute}m",
                        "alertname": alarm,
                        "exp_alerts": [{"exp_labels": labels}] if fires else [],
                    }
                ],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test), encoding="utf-8")
    done = subprocess.run(
        [program, "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


class NotingSqs:
    """An SQS without queues, which notes what is asked of a new one."""

    def __init__(self) -> None:
        self.attributes: dict[str, str] = {}

    def get_queue_url(self, **_asked: str) -> None:
        error: Any = type("QueueDoesNotExist", (Exception,), {})()
        error.response = {"Error": {"Code": "QueueDoesNotExist"}}
        raise error

    def create_queue(self, *, QueueName: str, Attributes: dict[str, str]) -> None:  # noqa: N803 - boto3's names
        assert QueueName == "letters"
        self.attributes = Attributes


def test_what_is_parked_is_an_alarm_after_half_of_the_time_for_which_setup_has_the_queue_keep_letters() -> None:
    sqs: Any = NotingSqs()
    assert aws.ensure_queue(sqs, "letters")
    assert AgeAlarm("ParkedTooLong").seconds * 2 == int(sqs.attributes["MessageRetentionPeriod"])
