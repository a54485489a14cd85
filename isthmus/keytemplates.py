"""How the text of an entity key becomes the values of key columns, and never two keys the same values.

A template holds one place, with constant text around it: `{key}` for the whole key, or `{1}`, `{2}` and so on for a
part between slashes. `{"carrier": "{2}", "day": "{3}"}` takes keys of three parts. Only the first part may have no
place, and must be the name of the entity type then: another part without a place would make two keys one row.

A template without a place is the same text for every key, as in `{"pk": "customer#{key}", "sk": "profile"}`.
"""

import re
from collections.abc import Mapping, Sequence

from isthmus.errors import Poison

WHOLE = "{key}"
WRONG_SHAPE = "key-shape"
"""The reason of a change whose key has not the parts that the templates name."""

_TEMPLATE = re.compile(r"([^{}]*)\{(key|[1-9][0-9]?)\}([^{}]*)")
_CONSTANT = re.compile(r"[^{}]+")
_NO_PART = -1


class KeyTemplates:
    """The templates of one entity type, in the order of its key columns.

    Raises ValueError, in words, for templates that do not tell two keys apart.
    """

    def __init__(self, entity: str, templates: Mapping[str, str]) -> None:
        self._entity = entity
        self._places = [_place(template) for template in templates.values()]
        identifying = [part for _, part, _ in self._places if part != _NO_PART]
        if self._places and not identifying:
            raise ValueError("no key column takes any of the key, so all keys would be one row")
        placed = {part for part in identifying if part}
        self._parts = max(placed, default=0)
        if all(identifying):
            missing = sorted(set(range(1, self._parts + 1)) - placed)
            if missing not in ([], [1]):
                raise ValueError(f"no key column takes part {missing[-1]} of the key, so two keys would be one row")
            self._first_is_entity = missing == [1]
        else:
            self._first_is_entity = False
        self._plain = self._places == [("", 0, "")]

    def values(self, key: str) -> Sequence[str]:
        """Give the values of the key columns. Raises `Poison` for a key that has not the parts."""
        if self._plain:
            return (key,)
        parts = key.split("/")
        if self._parts and len(parts) != self._parts:
            raise Poison(WRONG_SHAPE, f"the key has {len(parts)} parts, and the key columns need {self._parts}")
        if self._first_is_entity and parts[0] != self._entity:
            raise Poison(WRONG_SHAPE, "the key does not begin with the name of its entity type")
        return [
            before if part == _NO_PART else f"{before}{parts[part - 1] if part else key}{after}"
            for before, part, after in self._places
        ]

    def key(self, values: Sequence[str]) -> str | None:
        """Give the key that has these values, which are in the order of the key columns; None where there is none."""
        found: dict[int, str] = {1: self._entity} if self._first_is_entity else {}
        for value, (before, part, after) in zip(values, self._places, strict=True):
            if part == _NO_PART or len(value) < len(before) + len(after):
                continue
            found[part] = value[len(before) : len(value) - len(after)]
        key = found.get(0, "/".join(found.get(part, "") for part in range(1, self._parts + 1)))
        try:
            return key if list(self.values(key)) == list(values) else None
        except Poison:
            return None


def are_apart(templates: Mapping[str, str], others: Mapping[str, str]) -> bool:
    """Say whether the constant text of two types' templates keeps every key of one from being a row of the other.

    Columns count by their names. Raises ValueError for what is no template.
    """
    return any(_differ(_place(templates[name]), _place(others[name])) for name in templates.keys() & others.keys())


def _differ(one: tuple[str, int, str], other: tuple[str, int, str]) -> bool:
    (before, part, after), (other_before, other_part, other_after) = one, other
    if part == other_part == _NO_PART:
        return before != other_before
    if _NO_PART in {part, other_part}:
        constant, begins, ends = (
            (before, other_before, other_after) if part == _NO_PART else (other_before, before, after)
        )
        room = len(constant) >= len(begins) + len(ends)
        return not (room and constant.startswith(begins) and constant.endswith(ends))
    begin_alike = before.startswith(other_before) or other_before.startswith(before)
    end_alike = after.endswith(other_after) or other_after.endswith(after)
    return not (begin_alike and end_alike)


def _place(template: str) -> tuple[str, int, str]:
    if _CONSTANT.fullmatch(template) is not None:
        return template, _NO_PART, ""
    found = _TEMPLATE.fullmatch(template)
    if found is None:
        raise ValueError(f"{template!r} must hold one place: {WHOLE}, or {{1}}, {{2}} and so on")
    before, place, after = found.groups()
    return before, 0 if place == "key" else int(place), after
