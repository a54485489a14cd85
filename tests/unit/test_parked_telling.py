"""How what waits is told, which keys are meant, and who says so."""

import base64
import os
from decimal import Decimal
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.change import Verb, version_of
from isthmus.clock import SystemClock, from_rfc3339
from isthmus.codec import json_bytes, json_value
from isthmus.console.commands.parked_options import Chosen, choosing
from isthmus.console.lot import person
from isthmus.console.lot.telling import as_json, content_of, cut, pretty, verb_of, version_in_words
from isthmus.consumer.stores.lot import Selection
from tests.fakes.parked_desk import STATE, untranslated, waiting
from tests.fakes.settings_file import Files

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False, places=3)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_what_is_written_over_several_lines_is_the_same_value(value: Any) -> None:
    try:
        compact = json_bytes(value)
    except ValueError:
        return  # half of a surrogate pair: no JSON
    assert json_bytes(json_value(pretty(value).encode())) == compact


def test_numbers_are_exact_and_lines_are_indented() -> None:
    value = {"big": 2**70, "price": Decimal("1.10"), "list": [1, {}], "none": {}}
    assert pretty(value).split("\n") == [
        "{",
        '  "big": 1180591620717411303424,',
        '  "price": 1.10,',
        '  "list": [',
        "    1,",
        "    {}",
        "  ],",
        '  "none": {}',
        "}",
    ]


@pytest.mark.parametrize(
    "text, shorter, fell",
    [("a\nb", "a\nb", False), ("a\nb\nc", "a\nb", True), ("abcde\nb", "abcd...\nb", True)],
)
def test_a_long_text_is_cut_and_says_so(text: str, shorter: str, fell: bool) -> None:  # noqa: FBT001 - a case
    assert cut(text, 2, 4) == (shorter, fell)


def test_an_event_is_told_as_json_and_what_is_none_to_the_byte() -> None:
    told = as_json(waiting())
    assert (told["event"]["subject"], told["event_base64"]) == ("item/7", None)
    for held in (waiting(event=b'{"id": 1.0}', decodable=False), waiting(event=b"Change(...)")):
        told = as_json(held)
        assert told["event"] is None
        assert base64.b64decode(told["event_base64"]) == held.event


def test_content_is_the_row_the_data_nothing_or_the_bytes() -> None:
    assert content_of(waiting()) == ("data", {"name": "seven"})
    assert content_of(waiting(untranslated()))[0] == "row"
    assert content_of(waiting(STATE._replace(verb=Verb.DELETE, data=None)))[1] is None
    assert content_of(waiting(event=b"{\xff", decodable=False)) == ("bytes", "{\ufffd")
    assert (verb_of(waiting()), verb_of(waiting(event=b"{"))) == ("upsert", "undecodable")


@pytest.mark.parametrize("version, words", [(version_of(0, 42), "42"), (version_of(3, 42), "3:42"), ("", "")])
def test_a_version_is_told_as_people_know_it(version: str, words: str) -> None:
    assert version_in_words(version) == words


# which keys


def chosen(*arguments: str) -> Chosen:
    found: list[Chosen] = []

    @click.command()
    @choosing
    def command(chosen: Chosen) -> int:
        found.append(chosen)
        return 0

    command.main(args=arguments, standalone_mode=False)
    return found[0]


def test_nothing_is_chosen_until_something_is_said() -> None:
    assert not chosen().said
    assert chosen("--all").said
    assert chosen("--reason", "no-airport") == Chosen(Selection(reason="no-airport"), everything=False)
    with pytest.raises(click.UsageError):
        chosen("--all", "--key", "k")


def test_a_moment_is_rfc_3339_or_how_long_ago() -> None:
    moment = "2013-01-31T08:00:00Z"
    assert chosen("--since", moment).selection.since_ms == from_rfc3339(moment)
    before = SystemClock().now_ms()
    for text, ms in (("90s", 90_000), ("30m", 1_800_000), ("2h", 7_200_000), ("7d", 604_800_000)):
        until = chosen("--until", text).selection.until_ms
        assert until is not None
        assert before - ms <= until <= SystemClock().now_ms() - ms


@pytest.mark.parametrize("text", ["yesterday", "2013-01-31T08:00:00", "2w", "-2h", ""])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no moment"):
        chosen("--since", text)


def test_a_source_is_known_by_its_name_in_the_settings_and_by_the_one_its_changes_carry(tmp_path: Any) -> None:
    settings = Files(tmp_path).load()
    for name in ("flights", "/flights/flights"):
        assert chosen("--source", name).of(settings) == Selection(source="/flights/flights")


# who


def test_who_sits_here_is_known_by_login_and_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getlogin", lambda: "ada")
    monkeypatch.setattr("socket.gethostname", lambda: "office-3")
    assert person.who() == "ada@office-3"


def test_without_a_terminal_it_is_the_user_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise OSError

    def unknown(number: int) -> Any:
        raise KeyError(number)

    monkeypatch.setattr(os, "getlogin", none)
    assert person.who().partition("@")[0] != ""
    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert person.who().partition("@")[0] == str(os.getuid())
