"""Our own tables in PostgreSQL, from one release to the next."""

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields, replace
from datetime import date
from pathlib import Path

import pytest

from isthmus.consumer.stores.postgres import schema
from isthmus.consumer.stores.postgres.statements import Statements
from isthmus.consumer.stores.postgres.store import PostgresStore
from isthmus.errors import Missing, Refused
from tests.contract.store_contract import EVENTS, STATES
from tests.contract.store_redrive_contract import Mended
from tests.fakes.clock import FakeStop
from tests.fakes.postgres_office import LANES, PostgresOffice
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.store_model import ByModel, agrees
from tests.fakes.store_world import World, delete, event, marker, untranslated, upsert

FROZEN = Path(__file__).parent / "data" / "postgres_schema_1.sql"
FROZEN_SCHEMA = "isthmus_old"
ADDED = tuple(
    statement.replace("words", 'text COLLATE "C" NOT NULL')
    for statement in (
        """CREATE TABLE IF NOT EXISTS "isthmus_old".audit (
        place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at bigint NOT NULL, who words, why words,
        deed words, key words, txn words, version words, source words, entity words, reason words,
        message words, event bytea NOT NULL, made bytea)""",
        'CREATE INDEX IF NOT EXISTS audit_key ON "isthmus_old".audit (key, txn)',
        """CREATE TABLE IF NOT EXISTS "isthmus_old".held (
        place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key words, txn words, version words,
        rowhash words, source words, entity words, epoch bigint NOT NULL, detected words,
        arrived bigint NOT NULL, gate words, event bytea NOT NULL, decodable boolean NOT NULL, shard words,
        sequence words, held bigint NOT NULL, UNIQUE (key, txn))""",
        'CREATE INDEX IF NOT EXISTS held_order ON "isthmus_old".held (key, place)',
        """CREATE TABLE IF NOT EXISTS "isthmus_old".gate (
        name words PRIMARY KEY, process words, source words, entity words, prefix words,
        closed boolean NOT NULL, mode words, who words, reason words, since bigint NOT NULL, until bigint,
        revision bigint NOT NULL)""",
    )
)
"""What was added to version 1: tables of their own, of which a release that does not know them sees nothing."""
LATER = "{table} ADD COLUMN later_text text, ADD COLUMN later_number bigint NOT NULL DEFAULT 7"


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[PostgresOffice]:
    made = PostgresOffice(postgres)
    yield made
    made.close()


@pytest.fixture
def office(database: PostgresOffice) -> PostgresOffice:
    return database.fresh()


def frozen(kind: str) -> dict[str, str]:
    """Give the frozen statements by their headings, each heading with its place."""
    found = {}
    for place, block in enumerate(FROZEN.read_text().split("\n-- ")[1:]):
        heading, _, statement = block.partition("\n")
        if heading.startswith(kind):
            found[heading.removeprefix(f"{kind} ") if kind == "run" else str(place)] = statement.strip().removesuffix(
                ";"
            )
    return found


def frozen_statements() -> Statements:
    """Give what the frozen release runs, on the schema of this one. What it does not know is as it is now."""
    old = Statements("isthmus")
    for name, text in frozen("run").items():
        object.__setattr__(old, name, text.replace(f'"{FROZEN_SCHEMA}"', '"isthmus"'))
    return old


def lives_on(world: World, office: PostgresOffice) -> None:
    """Go once through all that a store does."""
    model = ByModel()
    changes = [
        *STATES,
        *EVENTS,
        marker(2),
        upsert(9, "b", epoch=2),
        delete(10, "b")._replace(epoch=2),
        upsert(1, epoch=1),
    ]
    changes += [untranslated(4, "p")._replace(epoch=2), upsert(5, "p", epoch=2), event(9, "f", epoch=2)]
    for _ in range(2):
        for change in changes:
            assert world.apply(change) == [model.take(change)]
    agrees(world, model)
    reader = office.reader()
    assert reader.counts()["ledger"] == len(model.ledger)
    assert reader.trace("k") is not None
    world.store.prepare()
    world.store.check(world.entities)
    after = world.clock.now_ms() + 1
    pruned = world.store.prune(memory_before_ms=after, history_before_ms=after, stop=FakeStop(world.clock))
    assert pruned.ledger == len(model.ledger)
    model.prune(after)
    agrees(world, model)


def with_later_columns(office: PostgresOffice, name: str) -> None:
    for table in [table for table in schema.TABLES if table in relations(office, name)]:
        office.run(f'ALTER TABLE "{name}".{LATER.format(table=table)}')


def remade(office: PostgresOffice) -> None:
    office.run("DROP SCHEMA isthmus CASCADE")
    PostgresStore(office.address, [], lanes=LANES).prepare()


def test_a_schema_of_the_first_version_goes_on_working_when_later_releases_have_added_columns(
    office: PostgresOffice,
) -> None:
    for statement in ["; ".join(frozen("make").values())]:
        office.run(statement)
    with_later_columns(office, FROZEN_SCHEMA)
    office.run("DROP SCHEMA isthmus CASCADE")
    office.run(f"ALTER SCHEMA {FROZEN_SCHEMA} RENAME TO isthmus")
    # Without what was added since it is refused at the start: see below.
    office.store([]).prepare()
    with closing(World(office)) as world:
        lives_on(world, office)
    remade(office)


def test_a_release_of_the_first_version_goes_on_working_on_the_schema_of_this_one_and_of_later_ones(
    office: PostgresOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = frozen_statements()
    assert set(frozen("run")) <= {each.name for each in fields(Statements)}
    with_later_columns(office, "isthmus")
    with closing(World(office)) as world:
        assert isinstance(world.store, PostgresStore)
        monkeypatch.setattr(world.store, "_texts", old)
        world.decider.close()
        world.decider = world.another()
        lives_on(world, office)
    remade(office)


def test_what_this_release_makes_is_what_was_frozen() -> None:
    # Another text here is another version: it gets a number and a frozen copy of its own, and this one stays.
    made = list(schema.statements(FROZEN_SCHEMA, date(2020, 3, 15)))
    assert [each for each in made if each in ADDED] == list(ADDED)
    made = [each for each in made if each not in ADDED]
    assert list(frozen("make").values())[: len(made)] == made
    assert schema.SCHEMA_VERSION == 1


def test_an_installation_of_the_first_release_gets_what_was_added_and_is_refused_until_it_has_it(
    office: PostgresOffice,
) -> None:
    office.run("DROP SCHEMA isthmus CASCADE")
    office.run("; ".join(frozen("make").values()))
    office.run(f"ALTER SCHEMA {FROZEN_SCHEMA} RENAME TO isthmus")
    office.run("INSERT INTO isthmus.guard VALUES ('old', '1', 'old-1', '', false, 'thing', 1)")
    store = office.store([])
    with pytest.raises(Missing, match=r"no table isthmus\.audit of ours") as found:
        store.check([])
    assert "isthmus store init" in found.value.hint
    for _ in range(2):
        store.prepare()
        store.check([])
    assert store.versions() == (1, 1)
    assert [row["key"] for row in office.own("guard")] == ["old"]
    with closing(World(office)) as world:
        world.apply(untranslated(1))
        with closing(world.redriver(Mended())) as redriver:
            assert redriver.discard("k", ["k-1"], who="ada", why="a test") == 1
        assert len(office.own("audit")) == 1
    remade(office)


def test_nothing_that_an_operator_did_is_ever_forgotten(office: PostgresOffice) -> None:
    with closing(World(office)) as world:
        world.apply(untranslated(1))
        with closing(world.redriver(Mended())) as redriver:
            redriver.discard("k", ["k-1"], who="ada", why="a test")
        after = world.clock.now_ms() + 1
        stop = FakeStop(world.clock)
        assert world.store.prune(memory_before_ms=after, history_before_ms=after, stop=stop).settled == 1
        assert [(row["txn"], row["who"]) for row in office.own("audit")] == [("k-1", "ada")]


def test_a_later_column_keeps_its_values_when_a_month_is_made(office: PostgresOffice) -> None:
    with_later_columns(office, "isthmus")
    with closing(World(office)) as world:
        world.apply(event(1)._replace(time="2999-01-01"))
    office.run("UPDATE isthmus.ledger SET later_text = 'kept', later_number = 8")
    office.run("; ".join(schema.make_partition("isthmus", "ledger", date(2999, 1, 1))))
    assert office.run("SELECT later_text, later_number FROM isthmus.ledger_2999_01") == [("kept", 8)]
    remade(office)


def test_many_may_set_up_at_once_and_again(office: PostgresOffice) -> None:
    together, errors = threading.Barrier(4), list[BaseException]()
    address = replace(office.address, schema="at once")

    def prepare() -> None:
        store = PostgresStore(address, [], lanes=LANES)
        together.wait()
        try:
            for _ in range(2):
                store.prepare()
            store.check([])
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=prepare) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert PostgresStore(address, [], lanes=LANES).versions() == (1, 1)
    office.run('DROP SCHEMA "at once" CASCADE')


def test_a_dry_run_asks_nobody_and_gives_statements_that_make_everything(office: PostgresOffice) -> None:
    nowhere = replace(office.address, url="host=/nowhere")
    statements = PostgresStore(nowhere, [], lanes=LANES).prepare(dry_run=True)
    office.run("DROP SCHEMA isthmus CASCADE")
    assert PostgresStore(office.address, [], lanes=LANES).versions() == (None, 1)
    for statement in statements:
        office.run(statement)
    store = PostgresStore(office.address, [], lanes=LANES)
    store.check([])
    assert store.versions() == (1, 1)
    store.prepare()


def test_a_dry_run_prints_what_is_run_where_nothing_is_yet_and_what_was_run_is_given(office: PostgresOffice) -> None:
    store = PostgresStore(replace(office.address, schema="printed"), [], lanes=LANES)
    printed = store.prepare(dry_run=True)
    assert store.prepare() == printed
    made = relations(office, "printed")
    assert {f"{table}_{end}" for table in schema.PARTITIONED for end in ("older", "later")} < set(made)
    assert len(made) == len(schema.TABLES) + len(schema.PARTITIONED) * (3 + schema.MONTHS_AHEAD)
    # By hand, and once more: nothing else comes of it.
    office.run('DROP SCHEMA "printed" CASCADE')
    for statement in printed * 2:
        office.run(statement)
    assert relations(office, "printed") == made
    office.run('DROP TABLE "printed".' + max(name for name in made if name.startswith("ledger_2")))
    assert [each.split()[:2] for each in store.prepare() if each not in printed] == [
        ["LOCK", "TABLE"],
        ["CREATE", "TABLE"],
        ["WITH", "moved"],
        ["ALTER", "TABLE"],
    ]
    assert relations(office, "printed") == made
    office.run('DROP SCHEMA "printed" CASCADE')


def relations(office: PostgresOffice, name: str) -> list[str]:
    found = office.run(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'p') ORDER BY 1",
        (name,),
    )
    return [each for (each,) in found]


def test_another_application_finds_the_schema_taken_and_takes_one_of_its_own(office: PostgresOffice) -> None:
    other = PostgresStore(office.address, [], lanes=LANES, application="billing")
    for act in (other.prepare, lambda: other.check([])):
        with pytest.raises(Refused, match=r"'isthmus'.*'billing'") as found:
            act()
        assert "[store.postgres] schema" in found.value.hint
    own = PostgresStore(replace(office.address, schema="billing"), [], lanes=LANES, application="billing")
    own.prepare()
    own.check([])
    office.store([]).check([])
    office.run("DROP SCHEMA billing CASCADE")


def test_another_number_of_lanes_is_refused_until_it_is_noted(office: PostgresOffice) -> None:
    other = PostgresStore(office.address, [], lanes=LANES + 1)
    for act in (other.prepare, lambda: other.check([])):
        with pytest.raises(Refused, match=f"{LANES} lanes.* {LANES + 1}") as found:
            act()
    office.run(found.value.hint.partition("run: ")[2])
    other.check([])
    office.run("UPDATE isthmus.meta SET value = %s WHERE name = 'lanes'", (str(LANES),))


def test_a_schema_that_does_not_say_whose_it_is_is_whoevers_sets_it_up(office: PostgresOffice) -> None:
    office.run("DELETE FROM isthmus.meta WHERE name IN ('application', 'lanes')")
    store = office.store([])
    with pytest.raises(Missing, match="does not say whose") as found:
        store.check([])
    assert "isthmus store init" in found.value.hint
    store.prepare()
    store.check([])


def test_a_version_that_is_no_number_is_refused(office: PostgresOffice) -> None:
    store = PostgresStore(office.address, [], lanes=LANES)
    office.run("UPDATE isthmus.meta SET value = '1b' WHERE name = 'schema_version'")
    try:
        for ask in (store.versions, store.prepare):
            with pytest.raises(Refused, match="newer release"):
                ask()
    finally:
        office.run("UPDATE isthmus.meta SET value = '1' WHERE name = 'schema_version'")
