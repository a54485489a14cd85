"""A shop whose changes arrive without a stream, so that something is parked at once, and whose pipeline can pause."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from isthmus.change import Change, Outcome
from isthmus.codec import DEFAULT_LIMITS, decode
from isthmus.console.children import Child
from isthmus.console.producing import open_references, open_source, translator_of
from isthmus.console.wiring import Wiring, decider_of, entities_of, store_of
from isthmus.consumer.stores.port import Delivered
from isthmus.settings import load
from tests.fakes.shop import Running, Said, Shop, until

PAUSING = '''
"""The customers' pipeline, which says where it is and waits there, if it is told to by a pipe of that name."""

import dataclasses
import gc
from pathlib import Path

from isthmus.lifecycle import ThreadStop
from isthmus_examples.customers.pipeline import customers as real

FOLDER = Path(__file__).parent


def asked_to_stop():
    return any(isinstance(each, ThreadStop) and each.requested() for each in gc.get_objects())


def pause(where, number):
    here = FOLDER / f"{where}-{number}"
    if here.exists():
        with here.open("w") as told:
            told.write("here")
        if (FOLDER / "until-asked").exists():
            while not asked_to_stop():
                ThreadStop().wait(0.01)
        else:
            (FOLDER / "go").read_text()


def translate(row, references):
    pause("translate", row["CUSTNO"])
    return real.translate(row, references)


def on_change(tx, change, previous):
    real.handlers[0](tx, change, previous)
    pause("handle", change.key.rpartition("/")[2])


customers = dataclasses.replace(real, translate=translate, handlers=(on_change,))
'''


PARKED = ["customer/11", "customer/12", "customer/13", "customer/14"]


class ParkedShop(Shop):
    """Ends with a stream that nobody needs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, port=1)
        (folder / "pausing.py").write_text(PAUSING, encoding="utf-8")
        self.set("isthmus_examples.customers.pipeline:customers", "pausing:customers")
        self._watermark: str | None = None
        store_of(load(self.config), []).prepare()

    def arrive(self, *, epoch: int = 1) -> list[Outcome | None]:
        """Translate and decide what the back office changed since the last time."""
        wiring = Wiring(load(self.config))
        settings, pipelines = wiring.settings, wiring.pipelines()
        section = settings.sources["customers"]
        with closing(open_source(section)) as source, closing(open_references(wiring, section)) as references:
            translator = translator_of(
                wiring,
                "customers",
                pipelines["customers"],
                references,
                generation=0,
                payloads=None,
                max_event_bytes=DEFAULT_LIMITS.max_bytes,
            )
            translator.refresh()
            rows = source.read(self._watermark, 10_000).rows
            encoded = [each for row in rows for each in translator.translate(row, epoch)]
        self._watermark = rows[-1].watermark if rows else self._watermark
        changes = [change for each in encoded for change in decode(each.event) if isinstance(change, Change)]
        return self.decide(*changes)

    def decide(self, *changes: Change, raw: bytes | None = None) -> list[Outcome | None]:
        """Let changes arrive; `raw` are the bytes that they came from."""
        wiring = Wiring(load(self.config))
        entities = entities_of(wiring.settings, wiring.pipelines())
        store = store_of(wiring.settings, entities)
        by_name = {entity.name: entity for entity in entities}
        now = wiring.clock.now_ms()
        with closing(decider_of(wiring.settings, store, by_name, wiring.clock, wiring.metrics)) as decider:
            return decider.apply([Delivered(change, "shardId-000000000000", "4711", now, raw) for change in changes])

    def mend(self) -> None:
        """Let the back office learn of Poland."""
        self.write("INSERT INTO COUNTRY VALUES ('PL', 'Poland')")

    def parked(self) -> list[str]:
        """Give the keys that are parked."""
        return [key for (key,) in self.read("SELECT DISTINCT key FROM isthmus_parked ORDER BY key")]

    def applied(self) -> list[str]:
        """Give the keys of the customers who stand in the front office."""
        return [key for (key,) in self.read("SELECT key FROM customer ORDER BY key")]

    def waiting(self, key: str = "customer/12") -> dict[str, Any]:
        """Give the only change that waits of a key, as `isthmus parked show` tells it."""
        (change,) = self.ask("parked", "show", key)["changes"]
        found: dict[str, Any] = change
        return found

    def audits(self) -> list[tuple[Any, ...]]:
        """Give what operators did: deed, who, why and transaction ID."""
        return self.read("SELECT deed, who, why, txn FROM isthmus_audit ORDER BY rowid")

    def everything(self) -> list[str]:
        """Give all that the front office holds, as statements."""
        with closing(sqlite3.connect(self.front)) as connection:
            return list(connection.iterdump())

    def welcomes(self) -> dict[str, int]:
        """Give how often each was welcomed: an effect that must happen once."""
        return dict(self.read("SELECT customer, count(*) FROM welcome GROUP BY customer"))

    def begin(self, *arguments: str) -> Running:
        """Start a command with its arguments in a process of its own."""
        log = self.folder / f"command-{len(self.children)}.log"
        child = Child("command", "isthmus.console.main", [*arguments, "--config", str(self.config)], log)
        self.children.append(Running(child))
        return self.children[-1]

    @contextmanager
    def pausing(self, where: str) -> Iterator["Pause"]:
        """Make the pipeline pause there: `translate-7` outside of the transaction of customer 7, `handle-7` inside."""
        here, go = self.folder / where, self.folder / "go"
        for pipe in (here, go):
            os.mkfifo(pipe)
        reading = os.open(here, os.O_RDONLY | os.O_NONBLOCK)
        try:
            yield Pause(reading, here, go)
        finally:
            os.close(reading)
            for pipe in (here, go):
                pipe.unlink(missing_ok=True)


class Pause:
    """A place where a process waits."""

    def __init__(self, reading: int, here: Path, go: Path) -> None:
        self._reading = reading
        self._here = here
        self._go = go

    def reached_by(self, running: Running) -> None:
        """Wait until the process is there. Nobody else will pause there."""
        until(lambda: os.read(self._reading, 9) == b"here" or running.child.poll() is not None, f"{self._here.name}")
        assert running.child.poll() is None, running.text
        self._here.unlink()

    def let_go(self) -> None:
        """Let it go on."""
        self._go.write_text("go", encoding="utf-8")


@contextmanager
def parked_shop(folder: Path) -> Iterator[ParkedShop]:
    """Give a shop with four customers who are parked, for want of their country, beside two who are not."""
    made = ParkedShop(folder)
    try:
        made.write("DELETE FROM CUST WHERE CUSTNO = 4")
        for number in (11, 12, 13, 14):
            made.customer(number, country="PL")
        made.arrive()
        assert made.parked() == PARKED
        yield made
    finally:
        made.close()


def retried(said: Said) -> dict[str, Any]:
    """Give what a retry says last."""
    told: dict[str, Any] = json.loads(said.out.splitlines()[-1])
    return told
