"""User code that tells, in a shard's own process, which of the heavy libraries are loaded there."""

import sys

from pydantic import BaseModel, ConfigDict

from isthmus.change import Change
from isthmus.pipeline import Pipeline, Row, Transaction, Translated
from isthmus.references import References

HEAVY = frozenset({"boto3", "botocore", "sqlalchemy", "psycopg", "amazon_kclpy", "rich"})


class Thing(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)
    size: int


def _key(row: Row) -> str:
    return f"thing/{row['ID']}"


def _translate(row: Row, _references: References) -> list[Translated]:
    return [Thing(size=row["SIZE"])]


def _tell(_tx: Transaction, _change: Change, _previous: Row | None) -> None:
    sys.stderr.write(f"loaded {sorted(HEAVY & set(sys.modules))}\n")
    sys.stderr.flush()


things = Pipeline("thing", Thing, _key, _translate, handlers=(_tell,))
