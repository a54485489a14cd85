"""`isthmus dlq`: letters in a real SQS interface, and a front office that has lost what was parked."""

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from isthmus.aws import ensure_bucket, ensure_queue
from isthmus.chance import unique_name
from isthmus.console.dlq.sending import sender_of
from isthmus.console.exits import Exit
from isthmus.console.wiring import Wiring, store_of
from isthmus.consumer.deadletters.port import Letter, Message
from isthmus.consumer.deadletters.sqs import SqsMailbox, SqsQueue
from isthmus.lifecycle import ThreadStop
from isthmus.settings import load
from tests.fakes.emulator import Emulator
from tests.fakes.parked_shop import PARKED, ParkedShop, parked_shop, retried
from tests.fakes.shop import SECRET

_FOREIGN = "somebody else's"


class Queue:
    """The dead-letter queue of a shop."""

    def __init__(self, office: ParkedShop, emulator: Emulator) -> None:
        self.office, self.sqs = office, emulator.client("sqs")
        self.name = load(office.config).dead_letters.queue
        ensure_queue(self.sqs, self.name)

    def send(self, limit: int = 1_000_000) -> None:
        """Send what waits in the outbox, as `consume` does it."""
        wiring = Wiring(load(self.office.config))
        sender = sender_of(wiring, store_of(wiring.settings, []), ThreadStop())
        assert sender is not None
        sender._limit = limit
        while sender.turn():
            pass

    def put(self, body: str) -> None:
        """Put a message there that is none of ours."""
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    @property
    def url(self) -> str:
        return str(self.sqs.get_queue_url(QueueName=self.name)["QueueUrl"])

    def messages(self) -> list[Message]:
        """Give what anybody could have now, and give it back."""
        mailbox = SqsMailbox(self.sqs, self.name)
        found: dict[str, Message] = {}
        while new := {each.identity: each for each in mailbox.receive(10, 60) if each.identity not in found}:
            found |= new
        mailbox.release(list(found.values()))
        return list(found.values())

    def bodies(self) -> list[str]:
        """Give their texts."""
        return [each.body for each in self.messages()]


@pytest.fixture
def office(tmp_path: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[ParkedShop]:
    monkeypatch.setenv("SHOP_SECRET", SECRET)
    with parked_shop(tmp_path / "shop") as made:
        made.set("http://127.0.0.1:1", emulator.url)
        yield made


@pytest.fixture
def queue(office: ParkedShop, emulator: Emulator) -> Queue:
    made = Queue(office, emulator)
    made.send()
    return made


def forget(office: ParkedShop, *tables: str) -> None:
    """Empty tables of the front office."""
    with closing(sqlite3.connect(office.front)) as connection, connection:
        for table in tables:
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - a test's own tables


@pytest.fixture
def lost(queue: Queue, office: ParkedShop) -> Queue:
    """Give a queue with four letters, and a front office that knows nothing of them."""
    ours = ("parked", "guard", "history", "trail")
    forget(office, "customer", "welcome", *(f"isthmus_{name}" for name in ours))
    return queue


def test_list_shows_what_lies_there_and_hides_it_from_nobody(office: ParkedShop, queue: Queue) -> None:
    queue.put(_FOREIGN)
    for _ in range(2):
        found = office.ask("dlq", "list")
        assert [row["key"] for row in found["letters"]] == PARKED
        assert {row["reason"] for row in found["letters"]} == {"translate-failed"}
        assert (found["queue"], found["about"], found["more"]) == (queue.name, 5, False)
        assert [row["bytes"] for row in found["foreign"]] == [len(_FOREIGN)]
    assert len(queue.bodies()) == 5
    few = office.ask("dlq", "list", "--limit", "3")
    assert (len(few["letters"]) + len(few["foreign"]), few["more"]) == (3, True)
    said = office.command("dlq", "list")
    assert said.code == Exit.DONE
    assert "customer/12" in said.out
    assert "not ours, and left as they are: 1 messages" in said.out


def test_an_empty_queue_is_said_to_be_empty_and_one_that_is_not_there_to_be_missing(
    office: ParkedShop, emulator: Emulator
) -> None:
    said = office.command("dlq", "list")
    assert (said.code, "isthmus setup" in said.err) == (Exit.MISSING, True)
    assert office.command("dlq", "redrive", "--all").code == Exit.MISSING
    Queue(office, emulator)
    assert "nothing lies in" in office.command("dlq", "list").out
    assert office.command("dlq", "redrive", "--all").code == Exit.DONE


def test_what_is_in_the_lot_is_redriven_there_and_the_queue_is_empty_then(office: ParkedShop, queue: Queue) -> None:
    assert office.command("dlq", "redrive", "--all").code == Exit.PARKED
    assert len(queue.bodies()) == 4
    office.mend()
    rehearsed = retried(office.command("dlq", "redrive", "--all", "--dry-run", "--json"))
    assert office.parked() == PARKED
    said = office.command("dlq", "redrive", "--all", "--json")
    assert said.code == Exit.DONE
    told = retried(said)
    assert told | {"dry_run": True} == rehearsed
    assert told["letters"] == {"chosen": 4, "done": 4, "parked": 0, "lost": 0, "old": 0}
    assert (told["outcomes"], office.parked(), queue.bodies()) == ({"applied": 4}, [], [])
    assert office.welcomes() == dict.fromkeys(["customer/1", "customer/2", *PARKED], 1)


def test_where_the_lot_was_lost_each_letter_is_translated_anew_and_takes_effect_once(
    office: ParkedShop, lost: Queue
) -> None:
    assert office.parked() == []
    office.mend()
    said = office.command("dlq", "redrive", "--key", "customer/12")
    assert (said.code, said.out) == (Exit.DONE, "1 letter tried: 1 are done\nchanges: applied 1\n")
    assert office.command("dlq", "redrive", "--reason", "translate-failed").code == Exit.DONE
    assert office.applied() == PARKED
    assert office.welcomes() == dict.fromkeys(PARKED, 1)
    assert office.read("SELECT country FROM customer WHERE key = 'customer/12'") == [("Poland",)]
    assert lost.bodies() == []


def test_a_lost_lot_is_filled_again_by_what_is_poison_still(office: ParkedShop, lost: Queue) -> None:
    said = office.command("dlq", "redrive", "--all", "--json")
    told = retried(said)
    assert (said.code, told["letters"]["parked"]) == (Exit.PARKED, 4)
    assert [row["reason"] for row in told["stopped"]] == ["translate-failed"]
    assert office.parked() == PARKED
    assert lost.bodies() == []
    lost.send()
    assert len(lost.bodies()) == 4
    office.mend()
    assert office.command("parked", "retry", "--all").code == Exit.DONE
    told = retried(office.command("dlq", "redrive", "--all", "--json"))
    assert told["outcomes"] == {"duplicate": 4}
    assert office.welcomes() == dict.fromkeys(PARKED, 1)
    assert lost.bodies() == []


def test_letters_in_the_bucket_are_redriven_too(office: ParkedShop, emulator: Emulator) -> None:
    bucket = f"letters-{unique_name()}"
    ensure_bucket(emulator.client("s3"), bucket)
    office.set("[metrics]", f'[claim_check]\nbucket = "{bucket}"\n[metrics]')
    queue = Queue(office, emulator)
    queue.send(limit=10)
    assert {row["event"] for row in office.ask("dlq", "list")["letters"]} == {"bucket"}
    office.mend()
    forget(office, "isthmus_parked")
    told = retried(office.command("dlq", "redrive", "--all", "--json"))
    assert told["outcomes"] == {"applied": 4}
    assert queue.bodies() == []


def test_a_message_that_is_not_ours_is_left_alone(office: ParkedShop, queue: Queue) -> None:
    queue.put(_FOREIGN)
    office.mend()
    said = office.command("dlq", "redrive", "--all", "--json")
    told = retried(said)
    assert (said.code, told["foreign"]["messages"]) == (Exit.DONE, 1)
    assert told["foreign"]["first"][0]["why"].startswith("It has no attribute")
    assert queue.bodies() == [_FOREIGN]


def test_killed_inside_a_transaction_and_begun_again_each_takes_effect_once(office: ParkedShop, lost: Queue) -> None:
    office.mend()
    letters = lost.messages()
    with office.pausing("handle-12") as pause:
        running = office.begin("dlq", "redrive", "--all")
        pause.reached_by(running)
        running.child.signal(signal.SIGKILL)
        assert running.exits() == -signal.SIGKILL
    assert office.applied() == ["customer/11"]
    # What it had in hand stays hidden for some minutes. A letter may come twice, and all come now.
    assert lost.messages() == []
    SqsQueue(lost.sqs, lost.name).send([Letter(each.body, each.attributes) for each in letters])
    told = retried(office.command("dlq", "redrive", "--all", "--json"))
    assert told["outcomes"] == {"applied": 3, "duplicate": 1}
    assert office.welcomes() == dict.fromkeys(PARKED, 1)


def test_ctrl_c_ends_it_between_two_letters_and_gives_the_rest_back(office: ParkedShop, lost: Queue) -> None:
    office.mend()
    (office.folder / "until-asked").touch()
    with office.pausing("handle-12") as pause:
        running = office.begin("dlq", "redrive", "--all")
        pause.reached_by(running)
        running.child.signal(signal.SIGINT)
        assert running.exits() == Exit.INTERRUPTED
    assert "the same command goes on from there" in running.text
    assert len(lost.bodies()) == 2
    assert office.command("dlq", "redrive", "--all").code == Exit.DONE
    assert office.welcomes() == dict.fromkeys(PARKED, 1)


def test_a_redrive_of_nothing_in_particular_is_refused(office: ParkedShop, queue: Queue) -> None:
    office.mend()
    for wrong in ([], ["--all", "--key", "customer/12"]):
        assert office.command("dlq", "redrive", *wrong).code == Exit.SETTINGS
    assert len(queue.bodies()) == 4
    assert office.parked() == PARKED


def test_without_a_queue_the_settings_are_what_is_wrong(office: ParkedShop) -> None:
    text = office.config.read_text(encoding="utf-8").replace("endpoint_url", "endpoints.kinesis")
    office.config.write_text(text, encoding="utf-8")
    for command in (["dlq", "list"], ["dlq", "redrive", "--all"]):
        said = office.command(*command)
        assert (said.code, "sqs under [aws.endpoints]" in said.err) == (Exit.FAILED, True)


@pytest.mark.parametrize("command", ["dlq", "dlq list", "dlq redrive"])
def test_help_teaches_with_lines_kept_as_they_are(office: ParkedShop, command: str) -> None:
    from click.testing import CliRunner  # noqa: PLC0415 - beside its only user

    from isthmus.console.main import Asked, cli  # noqa: PLC0415 - same

    said = CliRunner().invoke(cli, [*command.split(), "--help"], obj=Asked())
    assert said.exit_code == 0
    assert "\n  isthmus dlq " in said.output
    assert "\\b" not in said.output
    del office


def test_the_json_is_what_the_help_says(office: ParkedShop, queue: Queue) -> None:
    del queue
    listed = office.ask("dlq", "list")
    redriven = json.loads(office.command("dlq", "redrive", "--all", "--dry-run", "--json").out.splitlines()[-1])
    assert list(listed) == ["queue", "about", "letters", "foreign", "more"]
    assert set(redriven) == {
        "dry_run",
        "queue",
        "ended",
        "looked",
        "more",
        "letters",
        "outcomes",
        "stopped",
        "foreign",
    }
