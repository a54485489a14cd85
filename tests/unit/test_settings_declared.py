"""Gates in the settings that close by themselves: one way each, whole, and about something that is there."""

from pathlib import Path

import pytest

from tests.fakes.settings_file import RIGHT, Files

WINDOW = """
[gates.books]
process = "flight"
reason = "closing the books"
closed_from = "0 18 * * FRI"
closed_until = "0 6 * * MON"
time_zone = "Europe/Berlin"
"""
QUERY = """
[gates.audit]
reason = "an audit"
sql = "SELECT count(*) FROM AUDIT WHERE done = 0"
database_of = "flights"
"""
PAGE = """
[gates.moving]
mode = "wait"
reason = "the database moves"
owner = "platform"
url = "https://status.example/front-office"
token = {env = "STATUS_KEY"}
interval = 30.0
"""


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def allowed(files: Files, text: str, **environ: str) -> dict[str, str]:
    return {mistake.path: mistake.allowed for mistake in files.mistakes(RIGHT + text, **environ)}


def changed(text: str, *lines: str, without: str = "-") -> str:
    kept = [line for line in text.splitlines() if not line.startswith(without)]
    return "\n".join([*kept, *lines, ""])


def test_a_gate_that_is_declared_is_looked_at(files: Files) -> None:
    settings = files.load(RIGHT + WINDOW + QUERY + PAGE, STATUS_KEY="hush")
    assert settings.watches_gates
    assert settings.gate.watched is None
    books, audit, moving = settings.gates.values()
    assert (books.window is not None, audit.window, moving.window) == (True, None, None)
    assert (audit.interval, audit.timeout, moving.field) == (10.0, 5.0, "closed")
    (mistake,) = files.mistakes(f"{RIGHT}{WINDOW}[gate]\nwatched = false\n")
    assert mistake.path == "gate.watched"


def test_a_gate_says_in_one_way_when_it_is_closed(files: Files) -> None:
    assert "must say when it is closed" in allowed(files, '[gates.books]\nreason = "x"\n')["gates.books"]
    both = changed(WINDOW, 'url = "https://status.example"')
    assert allowed(files, both)["gates.books"].startswith("in one way alone")


def test_a_window_has_both_ends_and_a_zone_and_opens_some_day(files: Files) -> None:
    found = allowed(files, changed(WINDOW, without="time_zone"))
    assert found == {"gates.books.time_zone": "is required in a window: closed_from, closed_until and time_zone"}
    wrong = changed(changed(WINDOW, 'closed_from = "0 25 * * *"', without="closed_from"), without="time_zone")
    assert "bad hour" in allowed(files, f'{wrong}time_zone = "Mars/Base"')["gates.books.closed_from"]
    assert "Europe/Berlin" in allowed(files, f'{wrong}time_zone = "Mars/Base"')["gates.books.time_zone"]
    never = changed(WINDOW, 'closed_until = "00 18 * * 5"', without="closed_until")
    assert allowed(files, never) == {
        "gates.books.closed_until": "must come at another moment than closed_from: it would never open"
    }


def test_a_query_names_one_database_and_a_probe_has_time_to_try_again(files: Files) -> None:
    assert "gates.audit.sql" in allowed(files, changed(QUERY, without="database_of"))
    assert "gates.audit.sql" in allowed(files, changed(QUERY, 'database_url = "sqlite:///a.db"'))
    assert allowed(files, changed(QUERY, "timeout = 6.0")) == {
        "gates.audit.timeout": "must be at most half of interval, 5: two attempts fit in what an answer lasts"
    }
    found = allowed(files, changed(QUERY, 'database_of = "fligths"', 'field = "x"', without="database_of"))
    assert found == {
        "gates.audit.field": "goes with url",
        "gates.audit.database_of": "the settings know flights",
    }
    assert allowed(files, changed(WINDOW, "interval = 5.0")) == {"gates.books.interval": "goes with sql or url"}


def test_a_page_is_asked_for_safely_and_a_token_is_no_plain_text(files: Files) -> None:
    plain = changed(PAGE, 'url = "http://status.example/"', without="url")
    assert "https://" in allowed(files, plain, STATUS_KEY="hush")["gates.moving.url"]
    mistakes = files.mistakes(RIGHT + changed(PAGE, 'token = "hush"', without="token"))
    assert [mistake.path for mistake in mistakes] == ["gates.moving.token"]
    assert "hush" not in str(mistakes[0])
    here = changed(changed(PAGE, 'token = "hush"', without="token"), 'url = "http://127.0.0.1:1/"', without="url")
    assert files.load(RIGHT + here).gates["moving"].token is not None


def test_what_a_gate_covers_is_there_and_what_becomes_of_it_can_be_done(files: Files) -> None:
    found = allowed(files, changed(WINDOW, 'entity = "fligth"', 'source = "x"', 'process = "y"', without="process"))
    assert found == {
        "gates.books.process": "the settings know flight",
        "gates.books.source": "the settings know flights",
        "gates.books.entity": "the settings know flight",
    }
    assert "process" in allowed(files, changed(WINDOW, 'mode = "wait"'))["gates.books.mode"]
    assert "gates.books.mode" in allowed(files, f"{WINDOW}[gate]\nhold = false\n")
    wait = changed(WINDOW, 'mode = "wait"', without="process")
    assert files.load(f"{RIGHT}{wait}[gate]\nhold = false\n").watches_gates


def test_a_gate_has_a_name_of_its_own_and_a_reason(files: Files) -> None:
    assert "another name" in allowed(files, WINDOW.replace("gates.books", "gates.behind"))["gates.behind"]
    assert allowed(files, changed(WINDOW, without="reason")) == {"gates.books.reason": "is required"}


def test_another_question_does_not_find_the_answer_to_the_one_before(files: Files) -> None:
    one = files.load(RIGHT + QUERY).gates["audit"]
    other = files.load(RIGHT + QUERY.replace("done = 0", "done = 1")).gates["audit"]
    assert one.question("audit") == files.load(RIGHT + QUERY).gates["audit"].question("audit")
    assert one.question("audit") != other.question("audit") != one.question("books")
