"""A pipeline as small as one can be, for children that decide a million changes."""

from pydantic import BaseModel, ConfigDict

from isthmus.pipeline import Pipeline, Row, Translated
from isthmus.references import References


class Thing(BaseModel):
    """The contract."""

    model_config = ConfigDict(strict=True, frozen=True)
    size: int
    note: str


def _key(row: Row) -> str:
    return f"thing/{row['ID']}"


def _translate(row: Row, _references: References) -> list[Translated]:
    return [Thing(size=row["SIZE"], note=row["NOTE"])]


things = Pipeline("thing", Thing, _key, _translate)
