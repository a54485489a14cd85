"""What the documents say to do can be done: links, code, commands, options, targets, exit codes, extras."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from isthmus.change import Kind, Outcome
from isthmus.console.exits import Exit
from isthmus.console.main import cli

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_BLOCK = re.compile(r"^<!-- file: (\S+) -->\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://)([^)\s#]*)(#[^)\s]*)?\)")
CALL = re.compile(r"isthmus (?:--debug )?([a-z][a-z-]*)((?: [^\s`|;&]+)*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
NO_TARGETS_YET = {"bench"}

cli.load_all()

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def code_of(text: str) -> Iterator[str]:
    """Give every line of shell code and every code span."""
    for language, block in FENCE.findall(text):
        if language == "sh":
            yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


def anchors_of(text: str) -> set[str]:
    """Give the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def rows_of(text: str, heading: str) -> list[list[str]]:
    """Give the cells of the first table under a heading, without its head."""
    section = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def options_of(command: click.Command) -> set[str]:
    return {"--help"} | {name for each in command.params for name in (*each.opts, *each.secondary_opts)}


def part_of(command: click.Command, words: list[str], code: str) -> click.Command:
    """Give the command itself, or that of its parts which the first word after it names."""
    if not isinstance(command, click.Group) or not words or words[0].startswith("-"):
        return command
    assert words[0] in command.commands, code
    return command.commands[words[0]]


def test_the_readme_shows_files_as_they_are() -> None:
    blocks = FILE_BLOCK.findall(README)

    assert [name for name, _ in blocks] == ["examples/customers/pipeline.py", "examples/customers/isthmus.toml"]
    for name, block in blocks:
        assert block == (ROOT / name).read_text(encoding="utf-8")


def test_a_pipeline_has_forty_lines() -> None:
    assert len((ROOT / "examples/customers/pipeline.py").read_text(encoding="utf-8").splitlines()) <= 40


@each_document
def test_links_lead_to_files_and_headings_that_exist(document: Path) -> None:
    for path, anchor in LINK.findall(FENCE.sub("", document.read_text(encoding="utf-8"))):
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), path
        if anchor:
            assert anchor[1:] in anchors_of(target.read_text(encoding="utf-8")), f"{path}{anchor}"


@each_document
def test_commands_and_their_options_exist(document: Path) -> None:
    for code in code_of(document.read_text(encoding="utf-8")):
        for name, rest in CALL.findall(code):
            assert name in cli.commands, code
            assert set(OPTION.findall(rest)) <= options_of(part_of(cli.commands[name], rest.split(), code)), code


@each_document
def test_make_targets_and_their_arguments_exist(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    for code in code_of(document.read_text(encoding="utf-8")):
        for target, arguments in re.findall(r"(?:^|\s)make ([a-z]+)(.*)", code):
            assert target in targets | NO_TARGETS_YET, code
            if target == "demo":
                assert set(OPTION.findall(arguments)) <= options_of(cli.commands["demo"]), code


def test_every_command_is_in_some_document() -> None:
    text = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    assert {name for name in cli.commands if f"isthmus {name}" not in text} == set()


def test_every_exit_code_is_told_and_no_other() -> None:
    told = [code for row in rows_of(README, "Exit codes") for code in row[0].split(", ")]
    assert [int(code) for code in told] == [code.value for code in Exit]


def test_every_extra_is_told_and_no_other() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert [row[0].strip("`") for row in rows_of(README, "Install")] == list(extras)


def test_the_glossary_names_every_kind_and_every_outcome() -> None:
    words = dict(row[:2] for row in rows_of(README, "Words"))
    assert set(re.findall(r"`(\w+)`", words["outcome"])) == {outcome.value for outcome in Outcome}
    assert set(re.findall(r"`(\w+)`", words["kind"])) == {kind.value for kind in Kind}


def test_every_word_of_the_glossary_is_used_elsewhere() -> None:
    others = "\n".join(path.read_text(encoding="utf-8").lower() for path in DOCUMENTS if path.name != "README.md")
    used = {word: word.lower() in others for row in rows_of(README, "Words") for word in row[0].split(", ")}
    assert [word for word, found in used.items() if not found] == []


def test_the_promises_are_numbered_one_to_six() -> None:
    assert [row[0] for row in rows_of(README, "What is promised")] == [f"G{number}" for number in range(1, 7)]
