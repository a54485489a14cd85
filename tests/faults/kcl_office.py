"""The front office of the rows with the real daemon: its pipelines, its tables, and what the handler does in them.

`things` are of kind `state`, `moves` of kind `event`. Every effect is counted in the transaction that decides; what was
decided first, and in which order, is written down by triggers.
"""

from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from isthmus.change import Change, Kind
from isthmus.errors import Poison
from isthmus.pipeline import Handler, Pipeline, Row, Transaction, Translated
from isthmus.references import References
from tests.faults import kcl_deeds

THING, MOVE = "thing", "move"
LANES: Final = 16


class Fate(StrEnum):
    """What is to become of a change."""

    FINE = "fine"
    UNSTORABLE = "unstorable"
    """A constraint of the user's table refuses it. States only: an event writes no table."""
    OUT_OF_CONTRACT = "out-of-contract"
    UNHANDLED = "unhandled"
    """The handler refuses it, after its effect."""
    CRASHING = "crashing"
    """The handler raises what nobody knows, each time."""


class State(BaseModel):
    """The contract of both."""

    model_config = ConfigDict(strict=True, frozen=True)
    size: int
    fate: str


def data_of(fate: Fate, number: int) -> dict[str, Any]:
    """Give the data of a change with this fate."""
    if fate is Fate.OUT_OF_CONTRACT:
        return {"size": str(number), "fate": fate.value}
    return {"size": -number if fate is Fate.UNSTORABLE else number, "fate": fate.value}


def _key(row: Row) -> str:
    return f"{THING}/{row['ID']}"


def _translate(row: Row, _references: References) -> list[Translated]:
    return [State(size=row["SIZE"], fate=row["FATE"])]


def _handler(mark: str) -> Handler:
    upsert = f"INSERT INTO tally VALUES ({mark}, 1) ON CONFLICT (key) DO UPDATE SET n = tally.n + 1 RETURNING n"  # noqa: S608 - marks
    effect = f"INSERT INTO effect (txn, key, version, nth) VALUES ({mark}, {mark}, {mark}, {mark})"  # noqa: S608 - the same

    def on_change(tx: Transaction, change: Change, _previous: Row | None) -> None:
        kcl_deeds.meet(kcl_deeds.HANDLER)
        ((nth,),) = tx.execute(upsert, (change.key,))
        tx.execute(effect, (change.id, change.key, change.version, nth))
        fate = (change.data or {}).get("fate")
        if fate == Fate.UNHANDLED:
            raise Poison("unhandled")
        if fate == Fate.CRASHING:
            raise ZeroDivisionError
        kcl_deeds.meet(kcl_deeds.AFTER_EFFECT)

    return on_change


def _pipelines(mark: str) -> tuple[Pipeline, Pipeline]:
    on_change = _handler(mark)
    return (
        Pipeline(THING, State, _key, _translate, handlers=(on_change,)),
        Pipeline(MOVE, State, _key, _translate, kind=Kind.EVENT, handlers=(on_change,)),
    )


things, moves = _pipelines("?")
things_postgres, moves_postgres = _pipelines("%s")

SQLITE: Final = """
    CREATE TABLE thing (key TEXT PRIMARY KEY, version TEXT NOT NULL, size INTEGER NOT NULL CHECK (size >= 0),
        fate TEXT NOT NULL);
    CREATE TABLE tally (key TEXT PRIMARY KEY, n INTEGER NOT NULL);
    CREATE TABLE effect (place INTEGER PRIMARY KEY AUTOINCREMENT, txn TEXT NOT NULL, key TEXT NOT NULL,
        version TEXT NOT NULL, nth INTEGER NOT NULL);
    CREATE TABLE decided (place INTEGER PRIMARY KEY AUTOINCREMENT, txn TEXT NOT NULL);
    CREATE TABLE fell (key TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL);
    CREATE TRIGGER effect_decided AFTER INSERT ON effect BEGIN INSERT INTO decided (txn) VALUES (new.txn); END;
    CREATE TRIGGER thing_fell AFTER UPDATE ON thing WHEN new.version < old.version
        BEGIN INSERT INTO fell VALUES (new.key, old.version, new.version); END;
"""
"""The user's tables. `decided` is numbered in the order of commits: SQLite has one writer at a time."""

SQLITE_OWN: Final = """
    CREATE TRIGGER parked_decided AFTER INSERT ON isthmus_parked
        BEGIN INSERT INTO decided (txn) VALUES (new.txn); END;
    CREATE TRIGGER guard_fell AFTER UPDATE ON isthmus_guard WHEN new.version < old.version
        BEGIN INSERT INTO fell VALUES (new.key, old.version, new.version); END;
"""
"""Triggers on our own tables, once these are made."""

POSTGRES: Final = """
    CREATE TABLE thing (key text PRIMARY KEY, version text NOT NULL, size integer NOT NULL CHECK (size >= 0),
        fate text NOT NULL);
    CREATE TABLE tally (key text PRIMARY KEY, n integer NOT NULL);
    CREATE TABLE effect (place bigserial PRIMARY KEY, txn text NOT NULL, key text NOT NULL, version text NOT NULL,
        nth integer NOT NULL);
    CREATE TABLE decided (txn text NOT NULL, xid xid8 NOT NULL DEFAULT pg_current_xact_id());
    CREATE TABLE fell (key text NOT NULL, before text NOT NULL, after text NOT NULL);
    CREATE FUNCTION is_decided() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO public.decided (txn) VALUES (new.txn); RETURN NULL; END $$;
    CREATE FUNCTION has_fallen() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO public.fell VALUES (new.key, old.version, new.version); RETURN NULL; END $$;
    CREATE TRIGGER effect_decided AFTER INSERT ON effect FOR EACH ROW EXECUTE FUNCTION is_decided();
    CREATE TRIGGER thing_fell AFTER UPDATE ON thing FOR EACH ROW
        WHEN (new.version COLLATE "C" < old.version COLLATE "C") EXECUTE FUNCTION has_fallen();
"""
"""The same in PostgreSQL. Commits have no order there that a number could tell: a snapshot says which it has seen."""

POSTGRES_OWN: Final = """
    CREATE TRIGGER parked_decided AFTER INSERT ON isthmus.parked FOR EACH ROW EXECUTE FUNCTION is_decided();
    CREATE TRIGGER guard_fell AFTER UPDATE ON isthmus.guard FOR EACH ROW
        WHEN (new.version < old.version) EXECUTE FUNCTION has_fallen();
"""
