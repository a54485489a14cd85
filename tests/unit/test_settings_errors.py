"""`[errors.NAME]`: what is right, and what each mistake is told as."""

from pathlib import Path

import pytest

from isthmus.errors import Transient, WrongSettings
from isthmus.errortable import Then
from isthmus.settings import Settings, load, load_object, load_pipelines
from isthmus.settings.errors import rules_of

BASE = """
application = 'x'
stream = {name = 'x'}
store = {url = 'sqlite:///y'}
[entities.customer]
table = 'customer'
[sources.s0]
pipeline = 'isthmus_examples.customers.pipeline:customers'
url = 'sqlite:///x'
table = 'T'
key = 'K'
cursor = 'C'
order = 'commit'
"""
TRANSIENT = "type = 'partner_errors:PartnerAway'\nclass = 'transient'\n"


@pytest.fixture(autouse=True)
def _a_module_of_the_users(tmp_path: Path) -> None:
    (tmp_path / "partner_errors.py").write_text(
        "from isthmus.errors import Transient\n"
        "class PartnerAway(Exception): pass\n"
        "class Busy(Transient): pass\n"
        "class Odd(BaseException): pass\n"
        "nothing = None\n",
        encoding="utf-8",
    )


def settings(folder: Path, text: str) -> Settings:
    path = folder / "isthmus.toml"
    path.write_text(BASE + text, encoding="utf-8")
    return load(path, {})


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(WrongSettings) as caught:
        load_pipelines(settings(folder, text))
    return [f"{mistake.path}: {mistake.allowed}" for mistake in caught.value.mistakes]


def test_a_rule_is_what_its_section_says(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        f"[errors.partner]\n{TRANSIENT}interval = 2\nrate = 3\nmaximum = 30\njitter = false\nattempts = 4\n"
        "[errors.refused]\ntype = 'builtins:ValueError'\nclass = 'poison'\n"
        "[errors.busy]\ntype = 'partner_errors:Busy'\nclass = 'fatal'\n",
    )
    rules, wrong = rules_of(found.errors, load_object, tmp_path)
    assert wrong == []
    kind = load_object("partner_errors:PartnerAway", tmp_path)
    rule = rules.of(kind())
    assert rule is not None
    assert (rule.name, rule.then, rule.attempts) == ("partner", Then.TRANSIENT, 4)
    assert rule.backoff is not None
    assert (rule.backoff.first, rule.backoff.factor, rule.backoff.most, rule.backoff.jitter) == (2, 3, 30, False)
    assert [rules.of(error) for error in (KeyError(), Transient("ours"))] == [None, None]
    assert load_pipelines(found)["s0"].entity == "customer"


def test_no_attempts_are_as_many_as_it_takes(tmp_path: Path) -> None:
    found = settings(tmp_path, f"[errors.partner]\n{TRANSIENT}")
    rules, _ = rules_of(found.errors, load_object, tmp_path)
    rule = rules.of(load_object("partner_errors:PartnerAway", tmp_path)())
    assert rule is not None
    assert rule.attempts is None


@pytest.mark.parametrize(
    "kind, sentence",
    [
        ("nowhere:Error", "there is no module nowhere"),
        ("partner_errors:PartnerAwya", "did you mean PartnerAway?"),
        ("partner_errors:nothing", "must be a type of exception, and is a NoneType"),
        ("builtins:int", "must be a type of exception, and is the class int"),
        ("partner_errors:Odd", "must be an Exception: Odd ends a process"),
        ("builtins:SystemExit", "must be an Exception"),
        ("isthmus.errors:Transient", "derive a class of your own from Transient"),
    ],
)
def test_what_is_no_exception_of_the_users_is_named_with_what_to_do(tmp_path: Path, kind: str, sentence: str) -> None:
    (said,) = mistakes(tmp_path, f"[errors.partner]\ntype = '{kind}'\nclass = 'poison'\n")
    assert said.startswith("errors.partner.type: ")
    assert sentence in said


def test_two_sections_for_one_type_are_a_mistake(tmp_path: Path) -> None:
    (said,) = mistakes(tmp_path, f"[errors.one]\n{TRANSIENT}[errors.two]\n{TRANSIENT}")
    assert said == "errors.two.type: is the type of [errors.one] too: leave one of them out"


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("class = 'poison'\nattempts = 3\n", "errors.partner: attempts: only class = "),
        ("class = 'transient'\ninterval = 90\n", "errors.partner: maximum must be at least interval, 90"),
        ("class = 'sometimes'\n", "errors.partner.class: must be "),
        ("class = 'transient'\nrate = 0.5\n", "errors.partner.rate: must be from 1 to 10"),
        ("class = 'transient'\nretries = 3\n", "errors.partner.retries: is not known here"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, sentence: str) -> None:
    (said,) = mistakes(tmp_path, f"[errors.partner]\ntype = 'builtins:ValueError'\n{text}")
    assert said.startswith(sentence)


def test_a_name_that_is_no_reason_is_refused(tmp_path: Path) -> None:
    (said,) = mistakes(tmp_path, f"[errors.Partner_Away]\n{TRANSIENT}")
    assert "1 to 40 lower-case letters, digits or -, a letter first" in said
