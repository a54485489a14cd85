"""`isthmus parked`: an operator gets out what is parked, whatever happens meanwhile."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isthmus.chance import unique_name
from isthmus.change import VERSION_DIGITS, Change, Verb
from isthmus.console.exits import Exit
from isthmus.console.main import invoke
from tests.fakes.parked_shop import PARKED, ParkedShop, parked_shop, retried
from tests.fakes.shop import SECRET, Running, Shop, locked, until

SLOWLY = ("--rate", "5")
"""A change in each transaction."""


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ParkedShop]:
    monkeypatch.setenv("SHOP_SECRET", SECRET)
    with parked_shop(tmp_path / "shop") as made:
        yield made


def undecoded(name: str) -> Change:
    return Change(
        id=f"raw-{name}",
        source="",
        entity="",
        verb=Verb.UNTRANSLATED,
        key=f"~record/shard/1/{name}",
        version="0" * VERSION_DIGITS,
        lane=-1,
        epoch=0,
        time="",
        data={"reason": "not-json", "message": ""},
    )


def test_a_mended_reference_and_a_retry_free_what_waited_for_it(office: ParkedShop) -> None:
    listed = office.ask("parked", "list", "--reason", "translate-failed")
    oldest = min(each["first_at"] for each in listed["keys"])
    assert listed["reasons"] == [{"reason": "translate-failed", "keys": 4, "changes": 4, "oldest_since": oldest}]
    assert [row["key"] for row in listed["keys"]] == PARKED
    assert office.command("parked", "retry", "--all").code == Exit.PARKED

    office.mend()
    said = office.command("parked", "retry", "--reason", "translate-failed")

    assert (said.code, said.out) == (Exit.DONE, "4 keys tried: 4 are free\nchanges: applied 4\n")
    assert office.parked() == []
    assert office.welcomes() == dict.fromkeys(["customer/1", "customer/2", *PARKED], 1)
    assert office.read("SELECT country FROM customer WHERE key = 'customer/12'") == [("Poland",)]
    assert office.ask("parked", "list", "--all") == {"reasons": [], "keys": [], "more": False}
    assert retried(office.command("parked", "retry", "--all", "--json"))["keys"]["tried"] == 0


def test_what_comes_out_of_the_lot_is_the_very_change_that_was_detected(office: ParkedShop) -> None:
    before = office.waiting()
    office.mend()
    assert office.command("parked", "retry", "--all").code == Exit.DONE
    (step,) = office.ask("trace", "customer/12")["steps"]
    same = ("txn", "version", "epoch", "detected", "source", "shard", "sequence")
    assert [step[name] for name in same] == [before[name] for name in same]
    office.write("UPDATE CUST SET CTRY = 'DE' WHERE CUSTNO = 12")
    office.arrive()
    assert [step["outcome"] for step in office.ask("trace", "customer/12")["steps"]] == ["applied", "applied"]


def test_only_what_was_chosen_is_tried(office: ParkedShop) -> None:
    office.mend()
    for chosen, found in (
        (["--key", "customer/12"], ["customer/12"]),
        (["--prefix", "customer/1"], PARKED),
        (["--source", "customers"], PARKED),
        (["--source", "customers", "--reason", "contract"], []),
        (["--since", "2h"], PARKED),
        (["--until", "2h"], []),
        (["--all"], PARKED),
    ):
        assert [row["key"] for row in office.ask("parked", "list", *chosen)["keys"]] == found
    told = retried(office.command("parked", "retry", "--key", "customer/12", "--json"))
    assert (told["selected"], told["keys"]["freed"]) == (1, 1)
    assert office.parked() == ["customer/11", "customer/13", "customer/14"]


def test_a_retry_of_nothing_in_particular_is_refused_and_lists_the_reasons(office: ParkedShop) -> None:
    office.mend()
    said = office.command("parked", "retry")
    assert said.code == Exit.SETTINGS
    assert "--reason translate-failed: 4 keys, 4 changes" in said.err
    assert office.parked() == PARKED


def test_a_dry_run_says_what_would_happen_and_changes_nothing(office: ParkedShop) -> None:
    office.mend()
    office.customer(13, country="XX")
    office.arrive()
    before = office.everything()
    said = office.command("parked", "retry", "--all", "--dry-run", "--json")
    told = retried(said)
    assert said.code == Exit.PARKED
    assert told["keys"] == {"tried": 4, "freed": 3, "stopped": 1, "unfinished": 0}
    assert told["outcomes"] == {"applied": 4, "parked": 1}
    assert told["stopped"][0] | {"message": ""} == {
        "reason": "translate-failed",
        "keys": 1,
        "first": "customer/13",
        "message": "",
    }
    assert office.everything() == before
    assert retried(office.command("parked", "retry", "--all", "--json")) == told | {"dry_run": False}


def test_killed_inside_a_transaction_it_has_done_all_before_and_nothing_of_that_one(office: ParkedShop) -> None:
    office.mend()
    with office.pausing("handle-12") as pause:
        running = office.begin("parked", "retry", "--all", *SLOWLY)
        pause.reached_by(running)
        running.child.signal(signal.SIGKILL)
        assert running.exits() == -signal.SIGKILL
    assert office.parked() == PARKED[1:]
    assert retried(office.command("parked", "retry", "--all", "--json"))["keys"]["freed"] == 3
    assert office.parked() == []
    assert office.welcomes() == dict.fromkeys(["customer/1", "customer/2", *PARKED], 1)


def test_ctrl_c_ends_it_between_two_transactions_and_says_how_to_go_on(office: ParkedShop) -> None:
    office.mend()
    (office.folder / "until-asked").touch()
    with office.pausing("handle-12") as pause:
        running = office.begin("parked", "retry", "--all", *SLOWLY)
        pause.reached_by(running)
        running.child.signal(signal.SIGINT)
        assert running.exits() == Exit.INTERRUPTED
    assert "2 keys tried: 2 are free" in running.text
    assert "the same command goes on from there" in running.text
    assert office.parked() == PARKED[2:]
    assert office.command("parked", "retry", "--all").code == Exit.DONE
    assert office.welcomes() == dict.fromkeys(["customer/1", "customer/2", *PARKED], 1)


def test_two_at_once_do_it_once(office: ParkedShop) -> None:
    office.mend()
    with office.pausing("translate-12") as pause:
        slow = office.begin("parked", "retry", "--all", "--json", *SLOWLY)
        pause.reached_by(slow)
        told = retried(office.command("parked", "retry", "--all", "--json"))
        assert told["keys"]["freed"] == 3
        pause.let_go()
        assert slow.exits() == Exit.DONE
    assert json.loads(slow.text.splitlines()[-1])["outcomes"] == {"applied": 1}
    assert office.parked() == []
    assert office.welcomes() == dict.fromkeys(["customer/1", "customer/2", *PARKED], 1)


def test_a_live_change_that_comes_while_its_key_is_remade_wins(office: ParkedShop) -> None:
    office.mend()
    with office.pausing("translate-12") as pause:
        running = office.begin("parked", "retry", "--all", "--json")
        pause.reached_by(running)
        office.customer(12, "THE NEWER", country="DE")
        office.arrive()
        pause.let_go()
        assert running.exits() == Exit.DONE
    assert office.read("SELECT name, country FROM customer WHERE key = 'customer/12'") == [("The Newer", "Germany")]
    assert office.welcomes()["customer/12"] == 1


def test_a_back_office_that_is_away_is_one_clear_error_and_changes_nothing(office: ParkedShop) -> None:
    office.mend()
    office.back.rename(office.back.with_name("elsewhere"))
    said = office.command("parked", "retry", "--all", "--json")
    assert said.code == Exit.FAILED
    assert "reference tables of the source customers cannot be read" in said.err
    assert retried(said)["ended"] == "failed"
    assert office.parked() == PARKED
    assert office.read("SELECT max(attempts) FROM isthmus_parked") == [(1,)]
    office.back.with_name("elsewhere").rename(office.back)
    assert office.command("parked", "retry", "--all").code == Exit.DONE


def test_a_front_office_that_is_away_is_waited_for_a_while(office: ParkedShop) -> None:
    office.mend()
    with locked(office.front):
        said = office.command("parked", "retry", "--all", "--wait", "0.1")
    assert said.code == Exit.FAILED
    assert "It was waited for" in said.err
    assert office.parked() == PARKED
    assert office.command("parked", "retry", "--all").code == Exit.DONE


def test_a_source_that_the_settings_do_not_know_any_more_keeps_its_changes_parked(office: ParkedShop) -> None:
    office.mend()
    office.set("[sources.customers", "[sources.clients")
    told = retried(office.command("parked", "retry", "--all", "--json"))
    assert [row["reason"] for row in told["stopped"]] == ["unknown-source"]
    office.set("[sources.clients", "[sources.customers")
    assert office.command("parked", "retry", "--reason", "unknown-source").code == Exit.DONE


def test_bytes_that_could_not_be_decoded_are_decoded_by_the_code_of_now(office: ParkedShop) -> None:
    office.mend()
    event = json.dumps(office.waiting()["event"]).encode()
    before = office.waiting()
    for name, raw in (("good", event), ("bad", b"{]")):
        office.decide(undecoded(name), raw=raw)
    said = office.command("parked", "retry", "--prefix", "~record/", "--json")
    told = retried(said)
    assert said.code == Exit.PARKED
    assert (told["stopped"][0]["reason"], told["stopped"][0]["first"]) == ("not-json", "~record/shard/1/bad")
    # What was inside is parked under its real key already, and stays there for a retry of that key.
    assert told["elsewhere"] == 1
    assert office.waiting()["txn"] == before["txn"]
    assert "event_base64" in office.waiting("~record/shard/1/bad")


def test_show_tells_the_raw_row_and_what_would_become_of_it(office: ParkedShop) -> None:
    said = office.command("parked", "show", "customer/12", "--try")
    assert '"CTRY": "PL"' in said.out
    assert "would be poison again: translate-failed: KeyError was raised." in said.out
    office.mend()
    (change,) = office.ask("parked", "show", "customer/12", "--try")["changes"]
    (becomes,) = change["would_become"]["changes"]
    assert (becomes["verb"], becomes["key"], becomes["data"]["country"]) == ("upsert", "customer/12", "Poland")
    assert "would become: upsert customer/12" in office.command("parked", "show", "customer/12", "--try").out
    assert office.command("parked", "show", "customer/1").code == Exit.FAILED


def test_export_writes_every_change_whole(office: ParkedShop) -> None:
    lines = [json.loads(line) for line in office.command("parked", "export").out.splitlines()]
    assert [line["key"] for line in lines] == PARKED
    assert lines[1] == office.waiting()
    assert lines[1]["event"]["data"]["row"]["NAM1"] == "SOME BODY"
    file = office.folder / "parked.jsonl"
    assert office.command("parked", "export", "--key", "customer/12", "--to", str(file)).code == Exit.DONE
    assert [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] == [lines[1]]


def test_while_everything_runs_a_stranger_mends_a_country(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(f"shop-{unique_name()}")
    assert shop.command("setup").code == 0
    running: Running = shop.start("run")
    shop.catches_up()
    assert "translate-failed" in shop.command("parked", "list").out

    shop.write("INSERT INTO COUNTRY VALUES ('PL', 'Poland')")
    assert shop.command("parked", "retry", "--reason", "translate-failed").code == Exit.DONE

    until(lambda: shop.read("SELECT country FROM customer WHERE key = 'customer/4'") == [("Poland",)], "Poland")
    assert shop.ask("status")["parked"] == []
    running.child.signal(signal.SIGTERM)
    assert running.exits() == Exit.TERMINATED


def test_help_is_there_for_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    for part in ("list", "show", "retry", "edit", "discard", "export"):
        assert invoke(["parked", part, "--help"]) == 0
        assert f"isthmus parked {part}" in capsys.readouterr().out
