"""A translator with everything around it, and functions of a user for it."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict

from isthmus.change import Change, Kind, Verb
from isthmus.codec import decode
from isthmus.errors import TargetDown
from isthmus.metrics import Metrics
from isthmus.payloads import Folder, payload_name
from isthmus.pipeline import Pipeline, Row, Translated
from isthmus.producer.sources.port import SourceRow
from isthmus.producer.sources.references import NoReferences
from isthmus.producer.translator import Translator
from isthmus.references import References
from tests.fakes.clock import FakeClock

PRIVATE = "a-private-value"
VALUES = {"ID": 7, "NAME": "seven", "SEQ": 42, "NOTE": PRIVATE}


class Item(BaseModel):
    model_config = ConfigDict(strict=True)

    name: str
    weight: float = 1.5
    parts: dict[str, Any] = {}


class Exact(BaseModel):
    name: str
    price: Decimal = Decimal("1.10")
    count: int = 2**70


class MemoryPayloads:
    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.away = False

    def put(self, content: bytes, folder: Folder = Folder.STREAM) -> str:
        if self.away:
            raise TargetDown("the bucket is away")
        reference = f"memory://{payload_name(content, folder)}"
        self.held[reference] = content
        return reference

    def get(self, reference: str) -> bytes:
        return self.held[reference]


def item_key(row: Row) -> str:
    return f"item/{row['ID']}"


class Bench:
    """A translator with everything around it."""

    def __init__(
        self,
        translate: Callable[[Row, References], Sequence[Translated]] = lambda row, _: [Item(name=row["NAME"])],
        *,
        key: Callable[[Row], str] = item_key,
        contract: type[BaseModel] = Item,
        kind: Kind = Kind.STATE,
        **options: Any,
    ) -> None:
        self.clock = FakeClock()
        self.metrics = Metrics()
        self.translator = Translator(
            Pipeline("item", contract, key, translate, kind, version="3"),
            source="//office/items",
            name="items",
            key_columns=("ID",),
            generation=2,
            lanes=16,
            references=NoReferences(),
            clock=self.clock,
            metrics=self.metrics,
            **options,
        )

    def run(self, values: dict[str, Any] | None = None, *, sourcekey: str = "[7]") -> list[Change]:
        row = SourceRow(VALUES if values is None else values, 42, "[42,7]", sourcekey)
        changes = []
        for encoded in self.translator.translate(row, epoch=5):
            (change,) = decode(encoded.event)
            assert isinstance(change, Change)
            assert (change.lane, change.id, change.key) == (encoded.lane, encoded.id, encoded.key)
            assert PRIVATE.encode() not in encoded.event or change.verb is Verb.UNTRANSLATED
            changes.append(change)
        return changes

    def untranslated(self, values: dict[str, Any] | None = None) -> Change:
        (change,) = self.run(values)
        assert change.verb is Verb.UNTRANSLATED
        assert PRIVATE not in change.data["message"]
        return change

    def count(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, {"source": "items", **labels})


def returning(*made: Any) -> Callable[[Row, References], Any]:
    return lambda _row, _references: list(made)


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise error

    return fail


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"x": value}
    return value
