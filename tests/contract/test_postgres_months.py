"""How the PostgreSQL store keeps ledger and history by months, and forgets them."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime

import psycopg
import pytest

from isthmus.change import Change, Kind, Outcome
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Entity, Pruned
from isthmus.consumer.stores.postgres import pruning
from isthmus.consumer.stores.postgres.schema import after, make_partition, months, partition
from isthmus.consumer.stores.postgres.statements import month_of
from isthmus.consumer.stores.postgres.store import PostgresStore
from isthmus.metrics import Metrics
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.postgres_office import LANES, PostgresOffice
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.store_world import APPLIED, DUPLICATE, delivered, event

SCHEMA = "then"
POSTING = Entity("posting", Kind.EVENT, None, None)


def at(year: int, month: int, day: int = 15) -> int:
    return round(datetime(year, month, day, tzinfo=UTC).timestamp() * 1000)


class Desk:
    """A store in a schema of its own that was made on the 15th of March 2020, and one that decides in it."""

    def __init__(self, office: PostgresOffice) -> None:
        self._office = office
        office.run(f'DROP SCHEMA IF EXISTS "{SCHEMA}" CASCADE')
        self.address = replace(office.address, schema=SCHEMA)
        self.today = at(2020, 3)
        self.store = self.made()
        self.store.prepare()
        self._session = self.store.session()

    def close(self) -> None:
        self._session.close()

    def made(self) -> PostgresStore:
        return PostgresStore(self.address, [], lanes=LANES, clock=FakeClock(self.today))

    def apply(self, *changes: Change) -> list[Outcome | None]:
        clock = FakeClock(self.today)
        applier = Applier(self._session, {"posting": POSTING}, clock, Metrics(), history=True, quick=self._session)
        return applier.apply([delivered(change)._replace(arrived_ms=self.today) for change in changes])

    def prune(self, memory_before: int = 0, history_before: int = 0) -> Pruned:
        stop = FakeStop(FakeClock(self.today))
        return self.made().prune(memory_before_ms=memory_before, history_before_ms=history_before, stop=stop)

    def parts(self, table: str) -> list[str]:
        """Give what the table consists of, by its ends."""
        found = self._office.run(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = to_regclass(%s) ORDER BY 1",
            (f'"{SCHEMA}".{table}',),
        )
        return [name.removeprefix(f"{table}_") for (name,) in found]

    def lies(self, table: str = "ledger") -> dict[str, str]:
        """Give, by transaction ID, in which part its row lies."""
        found = self._office.run(f'SELECT txn, tableoid::regclass::text FROM "{SCHEMA}".{table}')  # noqa: S608 - constants
        return {txn: name.rpartition(f"{table}_")[2].rstrip('"') for txn, name in found}


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[PostgresOffice]:
    made = PostgresOffice(postgres)
    yield made
    made.close()


@pytest.fixture
def desk(database: PostgresOffice) -> Iterator[Desk]:
    with closing(Desk(database)) as made:
        yield made


def posting(n: int, time: str, key: str = "e") -> Change:
    return event(n, key)._replace(time=time)


def test_months_ahead_are_made_at_the_setting_up_and_at_each_pruning(desk: Desk) -> None:
    for table in ("ledger", "history"):
        assert desk.parts(table) == ["2020_03", "2020_04", "2020_05", "later", "older"]
    desk.today = at(2020, 5)
    desk.prune()
    assert desk.parts("ledger") == ["2020_05", "2020_06", "2020_07", "later", "older"]
    desk.today = at(2020, 12)
    desk.made().prepare()
    assert desk.parts("history")[-4:] == ["2021_01", "2021_02", "later", "older"]


def test_a_change_lies_in_the_month_that_it_names_itself_whenever_it_arrives(desk: Desk) -> None:
    times = ["2020-03-31T23:59:59-05:00", "2020-04-01", "1999-12-31", "2025-01-01T00:00:00Z", "", "0000-01", "2020-13"]
    changes = [posting(n, time) for n, time in enumerate(times)]
    desk.today = at(2020, 5)
    assert set(desk.apply(*changes)) == {APPLIED}
    expected = ["2020_03", "2020_04", "older", "later", "older", "older", "older"]
    for table in ("ledger", "history"):
        assert desk.lies(table) == {change.id: part for change, part in zip(changes, expected, strict=True)}


def test_a_redelivery_in_any_later_month_is_a_duplicate(desk: Desk) -> None:
    changes = [posting(n, time) for n, time in enumerate(["2020-03-01", "2020-04-01", "1999-01-01", "2021-07-01", ""])]
    assert set(desk.apply(*changes)) == {APPLIED}
    for month in range(4, 13):
        desk.today = at(2020, month)
        desk.made().prepare()
        assert desk.apply(*changes) == [DUPLICATE] * len(changes)


def test_a_change_that_names_another_time_at_each_detection_is_a_duplicate(desk: Desk) -> None:
    assert desk.apply(posting(1, "2020-03-31T23:59:59Z")) == [APPLIED]
    for time in ("2020-04-01T00:00:01Z", "2019-01-01", "2031-01-01", ""):
        assert desk.apply(posting(1, time)) == [DUPLICATE]
    assert len(desk.lies()) == 1


def test_a_month_is_dropped_when_all_in_it_was_decided_before_and_nothing_else_goes(desk: Desk) -> None:
    assert set(desk.apply(posting(1, "2020-03-01"), posting(2, "2020-04-01"), posting(3, "1999-01-01"))) == {APPLIED}
    first = desk.today
    desk.today = at(2020, 6)
    desk.prune()
    # A late one of April, one of June, an old one.
    assert set(desk.apply(posting(4, "2020-04-01"), posting(5, "2020-06-01"), posting(6, "1998-01-01"))) == {APPLIED}
    assert desk.prune(memory_before=first) == Pruned(0, 0, 0, 0)
    assert desk.prune(memory_before=first + 1) == Pruned(0, 2, 0, 0)
    assert desk.lies() == {"e-2": "2020_04", "e-4": "2020_04", "e-5": "2020_06", "e-6": "older"}
    assert desk.parts("ledger") == ["2020_04", "2020_06", "2020_07", "2020_08", "later", "older"]
    # The history goes by its own moment.
    assert len(desk.lies("history")) == 6
    assert desk.prune(history_before=desk.today + 1) == Pruned(0, 0, 0, 6)
    assert desk.lies("history") == {}
    assert desk.apply(posting(2, "2020-04-01"), posting(4, "2020-04-01")) == [DUPLICATE, DUPLICATE]


def test_what_comes_for_a_month_that_was_dropped_is_taken_and_remembered(desk: Desk) -> None:
    desk.apply(posting(1, "2020-03-01"))
    desk.today = at(2020, 6)
    assert desk.prune(memory_before=desk.today).ledger == 1
    assert "2020_03" not in desk.parts("ledger")
    assert desk.apply(posting(2, "2020-03-02")) == [APPLIED]
    assert desk.apply(posting(2, "2020-03-02")) == [DUPLICATE]
    desk.prune()
    desk.made().prepare()
    assert "2020_03" not in desk.parts("ledger")
    assert desk.lies() == {"e-2": "later"}
    assert desk.prune(memory_before=desk.today + 1).ledger == 1


def test_this_month_and_those_ahead_are_there_again_after_all_in_them_was_forgotten(desk: Desk) -> None:
    desk.apply(posting(1, "2020-03-01"), posting(2, "2020-05-01"))
    assert desk.prune(memory_before=desk.today + 1).ledger == 2
    desk.apply(posting(3, "2020-03-01"))
    assert desk.lies() == {"e-3": "later"}
    desk.prune()
    assert desk.parts("ledger") == ["2020_03", "2020_04", "2020_05", "later", "older"]
    assert desk.lies() == {"e-3": "2020_03"}


def test_a_change_of_the_future_moves_into_its_month_when_that_comes_near(desk: Desk) -> None:
    future = [posting(1, "2020-09-30T12:00:00Z"), posting(2, "2020-11-01")]
    desk.apply(*future)
    assert set(desk.lies().values()) == set(desk.lies("history").values()) == {"later"}
    desk.today = at(2020, 8)
    desk.prune()
    for table in ("ledger", "history"):
        assert desk.lies(table) == {"e-1": "2020_09", "e-2": "later"}
    assert desk.apply(*future) == [DUPLICATE, DUPLICATE]


def test_nothing_gets_among_the_later_ones_of_which_a_month_is_being_made(desk: Desk, database: PostgresOffice) -> None:
    with psycopg.connect(database.url) as maker:
        for statement in make_partition(SCHEMA, "ledger", date(2020, 12, 1))[:-1]:
            maker.execute(statement.encode())
        with psycopg.connect(database.url, options="-c lock_timeout=20") as other:
            late = f'INSERT INTO "{SCHEMA}".ledger VALUES (%s, %s, %s, %s, %s, 0)'  # noqa: S608 - constants
            other.execute(late, ("here", "2020-03-01", "e", "1", ""))
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute(late, ("late", "2020-12-01", "e", "1", ""))
    assert "2020_12" not in desk.parts("ledger")[:3]


def test_a_pruning_waits_for_nobody_long_and_takes_the_month_another_time(
    desk: Desk, database: PostgresOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "_SHORT_WAIT", 20)
    desk.apply(posting(1, "2020-03-01"))
    desk.today = at(2020, 5)
    desk.prune()
    with psycopg.connect(database.url) as other:
        other.execute('TABLE "then".ledger_2020_03')
        assert desk.prune(memory_before=desk.today).ledger == 0
    assert desk.prune(memory_before=desk.today).ledger == 1


def test_a_large_month_is_dropped_without_being_counted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "_COUNTED", 3)
    desk.apply(*[posting(n, "2020-03-01", f"k{n}") for n in range(5)], posting(6, "2020-04-01"))
    desk.today = at(2020, 6)
    # At least so many: nobody has looked at the month, so the server itself does not know about how many it holds.
    assert desk.prune(memory_before=desk.today).ledger == 4
    assert desk.lies() == {}


def test_a_month_stays_when_something_of_it_is_decided_while_the_pruning_waits(
    desk: Desk, database: PostgresOffice
) -> None:
    desk.apply(posting(1, "2020-03-01"))
    before = desk.today + 1
    desk.today = at(2020, 6)
    desk.prune()
    with psycopg.connect(database.url) as other, ThreadPoolExecutor(1) as threads:
        other.execute(
            f'INSERT INTO "{SCHEMA}".ledger (txn, month, key, version, rowhash, decided) '  # noqa: S608 - constants
            "VALUES ('late', '2020-03-01', 'e', '2', '', %s)",
            (desk.today,),
        )
        waiting = threads.submit(desk.prune, before)
        while not database.run("SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"):
            assert not waiting.done()
        other.commit()
        assert waiting.result().ledger == 0
    assert desk.lies() == {"e-1": "2020_03", "late": "2020_03"}


def test_many_may_prune_and_set_up_at_once_while_others_decide(desk: Desk) -> None:
    desk.apply(*[posting(n, f"2020-0{3 + n % 3}-01", f"k{n}") for n in range(60)])
    desk.today = at(2020, 8)
    errors: list[BaseException] = []
    pruned: list[Pruned] = []
    together = threading.Barrier(4)

    def run(act: int) -> None:
        try:
            together.wait()
            for _ in range(3):
                if act:
                    pruned.append(desk.prune(memory_before=desk.today, history_before=desk.today))
                    desk.made().prepare()
                else:
                    for n in range(60, 80):
                        desk.apply(posting(n, "2020-08-01", f"k{n}"))
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=run, args=(act,)) for act in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    # However the turns fell: what was decided before the moment goes once, what is decided since stays.
    remaining = desk.prune(memory_before=desk.today, history_before=desk.today)
    assert sum(each.ledger for each in [*pruned, remaining]) == 60
    assert sorted(desk.lies()) == sorted(f"k{n}-{n}" for n in range(60, 80))


def test_months_are_counted_over_the_end_of_a_year() -> None:
    assert months(date(2019, 11, 30), date(2019, 12, 31)) == [
        date(2019, 11, 1),
        date(2019, 12, 1),
        date(2020, 1, 1),
        date(2020, 2, 1),
    ]
    assert after(date(2019, 12, 1)) == date(2020, 1, 1)
    assert partition("ledger", date(987, 3, 1)) == "ledger_0987_03"


@pytest.mark.parametrize(
    "time, month",
    [
        ("2013-01-31T23:59:59-12:00", "2013-01-01"),
        ("9999-12", "9999-12-01"),
        ("", "0001-01-01"),
        ("2013-00-01", "0001-01-01"),
        ("0000-01-01", "0001-01-01"),
        ("+12013-01", "0001-01-01"),
        ("\uff12\uff10\uff11\uff13-01", "0001-01-01"),
    ],
)
def test_the_month_of_a_change_is_what_it_says_itself(time: str, month: str) -> None:
    assert month_of(time) == month
