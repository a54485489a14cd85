"""`isthmus parked edit` and `discard`: what an operator answers for."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.console.exits import Exit
from tests.fakes.parked_shop import PARKED, ParkedShop, parked_shop
from tests.fakes.shop import SECRET

WHY = ["--reason", "agreed with the registry"]


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ParkedShop]:
    monkeypatch.setenv("SHOP_SECRET", SECRET)
    with parked_shop(tmp_path / "shop") as made:
        yield made


def test_an_edited_row_takes_effect_and_the_change_as_it_was_is_kept(office: ParkedShop) -> None:
    before = office.waiting()
    row = before["event"]["data"]["row"]
    file = office.folder / "row.json"
    file.write_text(json.dumps(row | {"CTRY": "DE"}), encoding="utf-8")
    edit = ["parked", "edit", "customer/12", before["txn"], "--data", str(file), *WHY]
    said = office.command(*edit, "--who", "ada", "--yes", "--json")
    assert (said.code, json.loads(said.out)["becomes"]) == (0, [{"verb": "upsert", "key": "customer/12"}])

    after = office.waiting()
    assert after["edited"]
    assert {name for name in before if before[name] != after[name]} == {"event", "edited"}
    assert office.audits() == [("edit", "ada", WHY[1], before["txn"])]
    assert office.command("parked", "retry", "--key", "customer/12").code == Exit.DONE
    assert office.read("SELECT country FROM customer WHERE key = 'customer/12'") == [("Germany",)]
    assert office.read("SELECT txn FROM isthmus_settled") == [(before["txn"],)]
    office._watermark = None
    office.mend()
    office.arrive(epoch=2)
    assert office.read("SELECT country FROM customer WHERE key = 'customer/12'") == [("Germany",)]


def test_final_data_may_stand_in_the_place_of_a_row(office: ParkedShop) -> None:
    txn = office.waiting()["txn"]
    file = office.folder / "customer.json"
    file.write_text('{"name": "By Hand", "country": "Nowhere", "vip": true}', encoding="utf-8")
    edit = ["parked", "edit", "customer/12", txn, "--as", "upsert", "--data", str(file), *WHY, "--yes"]
    assert office.command(*edit).code == Exit.DONE
    assert office.command("parked", "retry", "--key", "customer/12").code == Exit.DONE
    assert office.read("SELECT name, country FROM customer WHERE key = 'customer/12'") == [("By Hand", "Nowhere")]


def test_an_edit_that_makes_another_change_or_poison_is_refused(office: ParkedShop, tmp_path: Path) -> None:
    before = office.waiting()
    event, row = before["event"], before["event"]["data"]["row"]
    for option, content, said in (
        ("--event", event | {"subject": "customer/99"}, "another key"),
        ("--event", event | {"sequence": "0" * 37 + "9"}, "another version"),
        ("--data", row | {"CUSTNO": 99}, "The column CUSTNO says which row it is"),
        ("--data", row | {"CHGNO": 99}, "The column CHGNO says which row it is"),
        ("--data", row | {"CTRY": "XX"}, "poison again: translate-failed"),
    ):
        file = tmp_path / "edited.json"
        file.write_text(json.dumps(content), encoding="utf-8")
        answer = office.command("parked", "edit", "customer/12", event["id"], option, str(file), *WHY, "--yes")
        assert (answer.code, said in answer.err) == (Exit.FAILED, True), answer
    assert office.waiting() == before
    assert office.audits() == []


def test_an_edit_may_come_through_a_pipe_if_nobody_is_to_be_asked(
    office: ParkedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = office.waiting()
    edit = ["parked", "edit", "customer/12", change["txn"], "--data", "-", *WHY]
    assert office.command(*edit).code == Exit.SETTINGS
    row = json.dumps(change["event"]["data"]["row"] | {"CTRY": "FR"}).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(row)))
    assert office.command(*edit, "--yes").code == Exit.DONE
    assert office.waiting()["event"]["data"]["row"]["CTRY"] == "FR"


def test_an_edit_asks_and_a_no_changes_nothing(
    office: ParkedShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.mend()
    change = office.waiting()
    file = tmp_path / "row.json"
    file.write_text(json.dumps(change["event"]["data"]["row"] | {"NAM1": "ANOTHER"}), encoding="utf-8")
    edit = ["parked", "edit", "customer/12", change["txn"], "--data", str(file), *WHY]
    monkeypatch.setattr("click.confirm", lambda *_, **__: False)
    answer = office.command(*edit)
    assert answer.code == Exit.FAILED
    assert '"name": "Another"' in answer.out
    assert office.waiting() == change
    assert office.command("parked", "discard", "customer/12", change["txn"], *WHY).code == Exit.FAILED
    assert office.parked() == PARKED
    assert office.command(*edit[:-2], "--yes").code == Exit.SETTINGS


def test_what_is_typed_in_the_editor_is_not_lost_by_a_mistake(
    office: ParkedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = office.waiting()
    texts: list[str] = []
    typed = ["{", '{"CTRY": "DE"}', json.dumps(change["event"]["data"]["row"] | {"CTRY": "DE"})]

    def editor(text: str, **_: object) -> str:
        texts.append(text)
        return typed[len(texts) - 1]

    monkeypatch.setattr("click.edit", editor)
    monkeypatch.setattr("click.confirm", lambda *_, **__: True)
    answer = office.command("parked", "edit", "customer/12", change["txn"], *WHY)
    assert answer.code == Exit.DONE, answer
    assert json.loads(texts[0]) == change["event"]["data"]["row"]
    assert texts[1:] == ["{", '{"CTRY": "DE"}']
    assert "This is no JSON" in answer.err
    (audit,) = office.audits()
    assert "@" in audit[1]


def test_what_is_discarded_never_comes_back_and_what_waits_behind_it_stays(office: ParkedShop) -> None:
    office.customer(12, "THE SECOND", country="PL")
    office.arrive()
    first, second = (each["txn"] for each in office.ask("parked", "show", "customer/12")["changes"])
    assert office.command("parked", "discard", "customer/12", first, "unknown", *WHY, "--yes").code == Exit.FAILED
    assert office.command("parked", "discard", "customer/12", *WHY, "--yes").code == Exit.SETTINGS
    said = office.command("parked", "discard", "customer/12", first, *WHY, "--who", "ada", "--yes", "--json")
    assert json.loads(said.out) == {"key": "customer/12", "discarded": 1, "left": 1}
    assert office.audits() == [("discard", "ada", WHY[1], first)]
    office.mend()
    office._watermark = None
    office.arrive(epoch=2)
    office.command("parked", "retry", "--all")
    assert office.parked() == []
    (step,) = office.ask("trace", "customer/12")["steps"]
    assert (step["txn"], office.welcomes()["customer/12"]) == (second, 1)


def test_all_of_a_key_may_be_discarded_without_the_users_code(office: ParkedShop) -> None:
    (office.folder / "pausing.py").write_text("raise RuntimeError", encoding="utf-8")
    sys.modules.pop("pausing", None)
    said = office.command("parked", "discard", "customer/12", "--all", *WHY, "--yes")
    assert (said.code, "1 change discarded" in said.out) == (Exit.DONE, True), said
    assert office.parked() == ["customer/11", "customer/13", "customer/14"]
