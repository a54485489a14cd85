"""The composition roots: what a running process is really made of."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from isthmus.checkpoint.ports import Holder, Lease, ShardCheckpoint
from isthmus.console import consuming, producing
from isthmus.console.wiring import Wiring, entities_of, store_of
from isthmus.errors import OwnershipLost, Refused
from isthmus.lifecycle import ThreadStop
from isthmus.producer.service import Watches
from isthmus.producer.sink import OwnedSink
from isthmus.settings import load
from isthmus.stream import StreamFacts, StreamIdentity

STREAM = StreamIdentity("arn", "2013-01-01T00:00:00Z")
FACTS = StreamFacts("customers", STREAM, "ACTIVE", 1, 24, 300_000, keeps_partition_keys=True)
SETTINGS = """
[aws]
endpoint_url = "http://127.0.0.1:1"
region = "us-east-1"
access_key_id = "test"
secret_access_key = "test"
[stream]
name = "customers"
[sources.customers]
pipeline = "isthmus_examples.customers.pipeline:customers"
url = "sqlite:///back-office.db"
table = "CUST"
key = "CUSTNO"
cursor = "CHGNO"
order = "commit"
[sources.customers.ownership]
wait = false
take_over_after = 7.0
[entities.customer]
table = "customer"
[store]
url = "sqlite:///front-office.db"
[publisher]
linger_ms = 40
pace_shards = false
[consumer]
batch_changes = 77
"""


class Made:
    """Stands in for classes, and keeps what each was made with."""

    def __init__(self) -> None:
        self.made: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}
        self.parts: dict[str, Mock] = {}

    def of(self, name: str) -> Callable[..., Mock]:
        def make(*arguments: Any, **named: Any) -> Mock:
            self.made[name] = (arguments, named)
            return self.parts.setdefault(name, Mock(name=name))

        return make


@pytest.fixture
def wiring(tmp_path: Path) -> Wiring:
    file = tmp_path / "isthmus.toml"
    file.write_text(f'application = "customers"\n{SETTINGS}', encoding="utf-8")
    return Wiring(load(file))


def owning_as(made: Made, heart: SimpleNamespace) -> Callable[..., Any]:
    @contextmanager
    def owning(*arguments: Any, **named: Any) -> Iterator[tuple[Lease, SimpleNamespace]]:
        made.made["owning"] = (arguments, named)
        holder = Holder("me", "here", "boot", 42, "4711", "2013-01-01T00:00:00.000Z")
        yield Lease("source/customers", 9, holder, 0, STREAM, generation=3), heart

    return owning


def produce(wiring: Wiring, made: Made, monkeypatch: pytest.MonkeyPatch, heart: SimpleNamespace) -> None:
    for name in ("ThreadExecutor", "Translator", "Publisher", "Lanes", "Producer", "open_source", "open_references"):
        monkeypatch.setattr(producing, name, made.of(name))
    monkeypatch.setattr(producing, "owning", owning_as(made, heart))
    watches = producing._Watches(
        wiring.attempts.watch("lease", "x"),
        wiring.attempts.watch("kinesis", "customers"),
        Watches.of("customers", wiring.metrics, wiring.clock),
    )
    pipeline = wiring.pipelines()["customers"]
    producing._own_source(wiring, Mock(), FACTS, "customers", pipeline, watches)


def test_an_owner_that_is_lost_sends_and_saves_nothing_more(wiring: Wiring, monkeypatch: pytest.MonkeyPatch) -> None:
    made, heart = Made(), SimpleNamespace(lost=False)
    produce(wiring, made, monkeypatch, heart)
    sink = made.made["Publisher"][0][1]
    assert isinstance(sink, OwnedSink)
    assert made.made["Producer"][1]["lost"]() is False

    heart.lost = True
    with pytest.raises(OwnershipLost):
        sink.put([])
    assert made.made["Producer"][1]["lost"]() is True


def test_a_producer_is_what_the_settings_the_lease_and_the_stream_say(
    wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made()
    produce(wiring, made, monkeypatch, SimpleNamespace(lost=False))
    limits = made.made["Lanes"][0][1]
    assert made.made["Lanes"][0][0] == wiring.settings.stream.lanes
    assert (limits.max_record_bytes, limits.shard_bytes_per_second) == (300_000, None)
    assert made.made["Publisher"][1]["linger"] == pytest.approx(0.04)
    assert made.made["Translator"][1]["generation"] == 3
    assert made.made["Translator"][1]["max_event_bytes"] == limits.max_event_bytes
    assert made.made["owning"][1] == {"wait": False, "take_over_after": 7.0}


def test_a_producer_closes_what_it_opened_whatever_ends_it(wiring: Wiring, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made()
    made.parts["Producer"] = Mock(**{"run.side_effect": OwnershipLost("taken")})
    with pytest.raises(OwnershipLost):
        produce(wiring, made, monkeypatch, SimpleNamespace(lost=False))
    for name in ("ThreadExecutor", "open_source", "open_references"):
        made.parts[name].close.assert_called_once_with()


def test_a_consumer_follows_its_heart_and_goes_on_from_the_checkpoints_counts(
    wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, heart = Made(), SimpleNamespace(lost=False)
    monkeypatch.setattr(consuming, "LocalRuntime", made.of("LocalRuntime"))
    entities = entities_of(wiring.settings, wiring.pipelines())
    store = store_of(wiring.settings, entities)
    store.prepare()
    stop: Any = ThreadStop()
    by_name = {entity.name: entity for entity in entities}
    with consuming._closing_all() as sessions:
        arguments: Any = (
            wiring,
            Mock(),
            FACTS,
            heart,
            store,
            by_name,
            sessions,
            stop,
            wiring.attempts,
            Mock(),
            None,
            None,
        )
        consuming._runtime(*arguments)
        runtime = made.made["LocalRuntime"][1]
        begin = ShardCheckpoint("shard-0", STREAM, "1", counts={"applied": 3})
        processor = runtime["make_processor"]("shard-0", begin)
        assert processor.counts() == {"applied": 3}
        assert processor._settings.batch_changes == 77
        (decider,) = sessions
    # What is wrapped around it, to count attempts, closes it too.
    inner: Any = vars(decider)["_decider"]
    assert inner._session._open is False
    assert (runtime["stream"], runtime["stop"]) == (STREAM, stop)
    assert runtime["lost"]() is False
    heart.lost = True
    assert runtime["lost"]() is True


def test_a_decider_gets_the_bucket_and_the_stop_of_its_consumer(
    wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, payloads, stop = Made(), Mock(), Mock()
    monkeypatch.setattr(consuming, "LocalRuntime", made.of("LocalRuntime"))
    monkeypatch.setattr(consuming, "decider_of", made.of("decider_of"))
    monkeypatch.setattr(Wiring, "payloads", lambda _: payloads)
    arguments: Any = (wiring, Mock(), FACTS, Mock(), Mock(), {}, [], stop, wiring.attempts, Mock(), None, None)
    consuming._runtime(*arguments)
    made.made["LocalRuntime"][1]["make_processor"]("shard-0", None)
    assert made.made["decider_of"][1].items() >= {"payloads": payloads, "stop": stop, "gates": None}.items()


def test_a_consumer_does_not_start_or_go_on_where_the_stream_keeps_more_than_it_remembers(
    wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    def losing(*_: object, **__: object) -> None:
        raise OwnershipLost("taken")

    long = replace(FACTS, retention_hours=8760)
    monkeypatch.setattr(consuming, "owning", losing)
    monkeypatch.setattr(Wiring, "check_front_office", lambda *_: None)
    for facts, asked in (([long], 1), ([FACTS, long], 2)):
        answers = Mock(side_effect=facts)
        monkeypatch.setattr(Wiring, "stream", answers)
        with pytest.raises(Refused, match="delete_memory_days"):
            consuming.consume(wiring, wiring.pipelines())
        assert answers.call_count == asked
