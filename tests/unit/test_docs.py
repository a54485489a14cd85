"""What the documents say of the code is what the code says: events, metrics, states, the wire, settings."""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from isthmus import codec
from isthmus.change import LANES_PER_SHARD, Change, Outcome, Verb, lane_of, lane_partition_key, transaction_id
from isthmus.checkpoint.ownership import Sign
from isthmus.consumer import deciding
from isthmus.metrics import Metrics
from isthmus.producer import lanes, usercode
from isthmus.producer.service import Watches
from isthmus.settings import Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
WATCHERS = {"Attempts", "Away", "watch"}
NAMED_ELSEWHERE = {"attempts.py": (), "wiring.py": (), "service.py": Watches._fields}
"""Files that watch something under a name which no literal tells, and those names."""


def section_of(document: str, heading: str) -> str:
    return (DOCS / document).read_text(encoding="utf-8").split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]


def cells_of(text: str) -> list[list[str]]:
    """Give the cells of all tables, without heads and rules."""
    lines = text.splitlines()
    tables = [line for line, after in zip(lines, [*lines[1:], ""], strict=True) if not after.startswith("|--")]
    rows = [line for line in tables if line.startswith("|") and not line.startswith("|--")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in rows]


def words_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def logged_in(file: Path) -> Iterator[tuple[str, str]]:
    """Give event and level of every call in a file that logs, or that watches what may be away."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        first = node.args[0]
        literal = first.value if isinstance(first, ast.Constant) else None
        if name in WATCHERS:
            for part in NAMED_ELSEWHERE[file.name] if literal is None else (literal,):
                yield f"{part}_away", "warning"
                yield f"{part}_back", "info"
        elif name in LEVELS and isinstance(node.func, ast.Attribute):
            logger = node.func.value
            if isinstance(logger, ast.Name) and logger.id.strip("_") == "log":
                assert isinstance(literal, str), f"an event without a constant name in {file}"
                yield literal, name


def test_the_runbook_lists_every_log_event_with_its_level_and_no_other() -> None:
    logged = {found for file in (ROOT / "isthmus").rglob("*.py") if file.name != "log.py" for found in logged_in(file)}
    rows = cells_of(section_of("runbook.md", "Log events"))
    told = {pair for row in rows if len(row) == 4 for pair in zip(words_in(row[0]), row[1].split(", "), strict=True)}

    assert told == logged


def test_the_catalogue_of_metrics_is_told_as_it_is() -> None:
    real = {
        metric._name + ("_total" if metric._type == "counter" else ""): (metric._type, metric._labelnames)
        for metric in vars(Metrics()).values()
        if hasattr(metric, "_labelnames")
    }
    told = {
        words_in(row[0])[0]: (row[1], tuple(words_in(row[2])))
        for row in cells_of((DOCS / "metrics.md").read_text(encoding="utf-8"))
    }

    assert told == real


def test_every_metric_is_used_somewhere() -> None:
    code = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "isthmus").rglob("*.py"))
    unused = [name for name in vars(Metrics()) if name != "registry" and not re.search(rf"metrics\.{name}\b", code)]
    assert unused == []


@pytest.mark.parametrize("document", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_metrics_that_are_named_exist(document: Path) -> None:
    real = {sample.name for family in Metrics().registry.collect() for sample in family.samples}
    real |= {metric._name for metric in vars(Metrics()).values() if hasattr(metric, "_name")}
    real |= {f"{name}_total" for name in real}
    tables = {f"isthmus_{name}" for name in ("parked", "outbox")}
    named = set(re.findall(r"\bisthmus_[a-z_]+[a-z]\b", document.read_text(encoding="utf-8")))

    assert named - tables <= real


def test_the_questions_of_deciding_are_drawn_in_their_order() -> None:
    told = (deciding.__doc__ or "").split("promise:", 1)[1].split(".", 1)[0]
    asked = [" ".join(question.split()) for question in told.split("->")]
    drawn = re.findall(r'^ +state "([^"]+)" as q', section_of("states.md", "How a change is decided"), re.MULTILINE)

    assert drawn == ["fenced?", *asked]


def test_every_outcome_is_drawn_and_explained() -> None:
    section = section_of("states.md", "How a change is decided")
    outcomes = {outcome.value for outcome in Outcome}
    ends = set(re.findall(r"--> (\w+)", section)) - {f"q{number}" for number in range(8)}

    assert {words_in(row[0])[0] for row in cells_of(section)} == outcomes
    assert ends == outcomes - {Outcome.FILTERED.value}


def test_a_lane_is_drawn_with_the_states_that_the_publisher_names() -> None:
    named = (lanes.__doc__ or "").split("four states:", 1)[1]
    drawn = section_of("states.md", "A lane's life")
    states = set(re.findall(r"--> (\w+)", drawn)) | set(re.findall(r"^ +(\w+) -->", drawn, re.MULTILINE))

    assert {state.replace("_", " ") for state in states} == {"empty", "waiting", "sent", "backing off"}
    assert all(state.replace("_", " ") in named for state in states)


def test_every_sign_of_a_lease_is_told_and_whether_it_may_be_taken() -> None:
    rows = cells_of(section_of("states.md", "A lease's life"))
    assert {words_in(row[0])[0]: row[2] == "yes" for row in rows} == {sign.value: sign.free for sign in Sign}


def example() -> dict[str, Any]:
    text = (DOCS / "wire.md").read_text(encoding="utf-8")
    event: dict[str, Any] = json.loads(text.split("<!-- event: upsert -->\n```json\n", 1)[1].split("```", 1)[0])
    return event


def test_the_example_event_is_a_change_with_the_id_and_the_lane_that_are_its_own() -> None:
    event = example()
    (change,) = codec.decode(codec.bundle([json.dumps(event).encode()]))

    assert isinstance(change, Change)
    assert change.id == transaction_id(change.source, change.key, change.version)
    assert change.lane == lane_of(change.key, 4 * LANES_PER_SHARD)
    assert event["partitionkey"] == lane_partition_key(change.lane)
    assert json.loads(codec.encode(change)) == event


def test_every_attribute_on_the_wire_is_told_and_no_other() -> None:
    text = section_of("wire.md", "A change")
    assert {words_in(row[0])[0] for row in cells_of(text)} == codec._OURS


def test_every_verb_is_told_and_no_other() -> None:
    assert [words_in(row[0])[0] for row in cells_of(section_of("wire.md", "Types"))] == [
        verb.value for verb in (Verb.UPSERT, Verb.DELETE, Verb.EVENT, Verb.UNTRANSLATED, Verb.MARKER)
    ]
    assert len(Verb) == 5


def test_every_reason_of_the_translator_is_told_and_no_other() -> None:
    constants = {value for name, value in vars(usercode).items() if name.isupper() and isinstance(value, str)}
    table = section_of("guide.md", "The pipeline").split("| reason |", 1)[1].split("\n### ", 1)[0]
    told = Counter(word for row in cells_of(f"| reason |{table}") for word in words_in(row[0]))

    assert told == Counter(constants - {usercode.RAW_KEY_PREFIX})


def keys_of(annotation: Any, path: str = "") -> Iterator[str]:
    """Give every key path that the settings know, sections too, with `NAME` for a name that the user chooses."""
    if get_origin(annotation) is dict:
        yield from keys_of(get_args(annotation)[1], f"{path}.NAME")
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, info in annotation.model_fields.items():
            here = f"{path}.{info.alias or name}".lstrip(".")
            yield here
            yield from keys_of(info.annotation, here)


@pytest.mark.parametrize("document", [*sorted(DOCS.glob("*.md")), ROOT / "SECURITY.md"], ids=lambda path: path.name)
def test_settings_that_are_named_exist(document: Path) -> None:
    known = set(keys_of(Settings))
    sections = "|".join(sorted(Settings.model_fields))
    text = document.read_text(encoding="utf-8")
    for name in re.findall(rf"`((?:{sections})\.[\w.]+)(?: = [^`]*)?`", text):
        if name != "isthmus.toml":
            assert name in known, name


def test_every_decision_record_is_in_the_list() -> None:
    listed = re.findall(r"\]\(([^)]+)\)", (DOCS / "adr" / "README.md").read_text(encoding="utf-8"))
    assert listed == sorted(path.name for path in (DOCS / "adr").glob("0*.md"))
