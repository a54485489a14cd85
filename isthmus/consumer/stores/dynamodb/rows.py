"""How an entity becomes an item of the user's table: its key, its values, and our attributes beside them. Pure."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isthmus.change import Change, Kind, generation_of, version_of
from isthmus.codec import NotJson, json_bytes, json_value
from isthmus.consumer.stores.dynamodb.cancelled import TOO_LARGE
from isthmus.consumer.stores.dynamodb.items import version_number, version_text
from isthmus.consumer.stores.dynamodb.values import (
    MAX_ITEM_BYTES,
    MAX_PARTITION_BYTES,
    MAX_SORT_BYTES,
    WRONG_VALUE,
    attribute_of,
    attributes_of,
    is_same,
    row_of,
    size_of,
    text,
)
from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.errors import Poison
from isthmus.keytemplates import KeyTemplates

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Attribute, Item


class Marks:
    """The names of our attributes on the user's items. All begin with the prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.version = f"{prefix}version"
        self.txn = f"{prefix}txn"
        self.rowhash = f"{prefix}rowhash"
        self.parked = f"{prefix}parked"
        """The newest parked version: while it is there, our own table knows more."""
        self.held = f"{prefix}held"
        """The turn of the key's held line when this was written: while it is there, the key may hold all that comes."""
        self.deleted = f"{prefix}deleted"
        """There on what is no entity: a tombstone, or the place of one of which all is parked or held so far."""
        self.decided = f"{prefix}decided"
        """When it was deleted; milliseconds since 1970. On tombstones only, as the next one."""
        self.expires = f"{prefix}expires"
        """What TTL may look at; seconds since 1970."""
        self.dataref = f"{prefix}dataref"
        """Where the values are, where the item would be too large with them."""
        self.last = f"{prefix}last"
        """Kind `event`: the transaction ID that changed the item last."""
        self.deciding = (self.version, self.txn, self.parked, self.held, self.last)

    def guard(self, change: Change) -> "dict[str, Attribute]":
        """Give what decides about the next change of an entity of kind `state`."""
        hashed = {self.rowhash: text(change.rowhash)} if change.rowhash else {}
        return {self.version: version_number(change.version), self.txn: text(change.id), **hashed}

    def least(self, change: Change) -> "Attribute | None":
        """Give the lowest version of a change's generation; None for the first generation, where none is lower."""
        generation = generation_of(change.version)
        return version_number(version_of(generation, 0)) if generation else None

    def is_ours(self, item: "Item", kind: Kind) -> bool:
        """Say whether Isthmus wrote the item before."""
        if kind is Kind.EVENT:
            return self.last in item
        return self.version in item or self.parked in item or self.held in item

    def flag_of(self, item: "Item | None") -> str | None:
        """Give the version that an item's parked flag says, None where it has none."""
        return version_text(item[self.parked]["N"]) if item is not None and self.parked in item else None

    def stripped(self, item: "Item") -> "dict[str, Attribute]":
        """Leave our attributes out."""
        return {name: value for name, value in item.items() if not name.startswith(self.prefix)}


class EntityItems:
    """The items of one entity type. Raises ValueError for key templates that do not tell two keys apart."""

    def __init__(self, entity: Entity, mapping: TableMapping, marks: Marks) -> None:
        self.table = mapping.table
        self.key_names = list(mapping.keys)
        self.columns: list[str] = list(mapping.columns.values())
        self._fields = list(mapping.columns)
        self._values = mapping.values
        self._version_column = mapping.version_column
        self._templates = KeyTemplates(entity.name, mapping.keys)
        self._marks = marks

    def key(self, key: str) -> "dict[str, Attribute]":
        """Give the primary key of the entity's item. Raises `Poison` for a key that no item can have."""
        values = self._templates.values(key)
        for value, most in zip(values, (MAX_PARTITION_BYTES, MAX_SORT_BYTES), strict=False):
            if not 0 < len(value.encode("utf-8", "surrogatepass")) <= most:
                raise Poison(WRONG_VALUE, f"a key attribute that is empty, or longer than {most} bytes")
        return {name: text(value) for name, value in zip(self.key_names, values, strict=True)}

    def entity_key(self, item: "Item") -> str | None:
        """Give the entity key of an item, None where it is none of this type."""
        held = [item.get(name, {}).get("S") for name in self.key_names]
        values = [value for value in held if value is not None]
        return self._templates.key(values) if len(values) == len(held) else None

    def attributes(self, change: Change) -> "dict[str, Attribute]":
        """Give the values of a state by column. Raises `Poison` for what DynamoDB does not hold exactly."""
        made = {column: attribute_of(value) for column, value in zip(self.columns, self._row(change.data), strict=True)}
        if self._version_column is not None:
            made[self._version_column] = text(change.version)
        return made

    def fits(self, key: "Item", values: "Item", change: Change) -> bool:
        """Say whether the item may be of at most 400 KB. What else the front office keeps on it is not known here."""
        return size_of({**key, **values, **self._marks.guard(change)}) <= MAX_ITEM_BYTES

    def are_held(self, item: "Item", values: "Item") -> bool:
        """Say whether an item of ours holds just these values, a version column aside."""
        names = [name for name in self.columns if name != self._version_column] + [self._marks.dataref]
        none: Attribute = {"NULL": True}
        return self._marks.deleted not in item and all(
            (name in item) == (name in values) and is_same(item.get(name, none), values.get(name, none))
            for name in names
        )

    def claimed(self, values: "Item") -> bytes:
        """Give the values as JSON, to be kept elsewhere. Raises `Poison` where JSON does not hold them exactly."""
        row = row_of({name: value for name, value in values.items() if name != self._version_column})
        try:
            content = json_bytes(row)
            same = attributes_of(json_value(content)) == attributes_of(row)
        except (ValueError, NotJson):
            same, content = False, b""
        if not same:
            raise Poison(TOO_LARGE, "an item of more than 400 KB, with values that JSON does not hold exactly")
        return content

    def row(self, item: "Item", claimed: bytes | None = None) -> Mapping[str, Any]:
        """Give an item's values as a handler sees them; `claimed` are those that are kept elsewhere."""
        row = row_of(self._marks.stripped(item))
        if claimed is not None:
            row.update(json_value(claimed))
        return row

    def _row(self, data: Any) -> Sequence[Any]:
        if self._values is not None:
            row = self._values(data)
            if len(row) != len(self.columns):
                raise Poison("mapping", f"{len(row)} values for {len(self.columns)} columns")
            return row
        if not isinstance(data, Mapping):
            raise Poison("contract", "the data is no object")
        try:
            return [data[name] for name in self._fields]
        except KeyError as error:
            raise Poison("contract", f"no field {error.args[0]!r}") from error
