"""Alarms as Prometheus would raise them: by the expression of `infra/prometheus/alerts.yml`, on metrics of ours."""

import re
from math import prod
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]  # its stubs are one more package to lock

from isthmus.metrics import Metrics

RULES: Final = Path(__file__).parents[2] / "infra" / "prometheus" / "alerts.yml"
_SINCE_A_MOMENT: Final = re.compile(r"time\(\) - (isthmus_\w+) > ([\d.]+(?: \* [\d.]+)*)")


def rule_of(name: str) -> dict[str, Any]:
    """Give an alarm's rule, as Prometheus reads it."""
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]
    (found,) = [rule for rule in rules if rule["alert"] == name]
    return dict(found)


class AgeAlarm:
    """An alarm on how long ago a moment is. Raises `ValueError` where its expression is another one."""

    def __init__(self, name: str) -> None:
        expression = rule_of(name)["expr"]
        matched = _SINCE_A_MOMENT.fullmatch(expression)
        if matched is None:
            raise ValueError(f"{expression} does not compare the age of one moment")
        self._metric = matched[1]
        self.seconds = prod(float(factor) for factor in matched[2].split(" * "))

    def firing(self, metrics: Metrics, now_ms: int) -> set[str]:
        """Give the reasons for which it fires at this moment."""
        samples = [sample for family in metrics.collect() for sample in family.samples if sample.name == self._metric]
        return {sample.labels["reason"] for sample in samples if now_ms / 1000 - sample.value > self.seconds}
