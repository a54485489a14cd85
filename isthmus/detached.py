"""What user code is handed: a copy of its own, so that nothing it does to it reaches what is written or parked."""

from typing import Any

from isthmus.change import Change

_CAN_CHANGE: frozenset[type] = frozenset({dict, list})
_DATA = Change._fields.index("data")
_EXTENSIONS = Change._fields.index("extensions")


def detached(value: Any) -> Any:
    """Copy a JSON value: its objects and lists at every depth. Whatever else is in it is handed on as it is."""
    # Not copy.deepcopy: measured, that takes ten times as long.
    if isinstance(value, dict):
        copied = value.copy()
        for name, each in value.items():
            if each.__class__ in _CAN_CHANGE:
                copied[name] = detached(each)
        return copied
    if isinstance(value, list):
        return [detached(each) if each.__class__ in _CAN_CHANGE else each for each in value]
    return value


def detached_change(change: Change) -> Change:
    """Copy a change: its data, and what travels along of a foreign event."""
    if change.data is None and change.extensions is None:
        return change
    fields = list(change)
    fields[_DATA], fields[_EXTENSIONS] = detached(change.data), detached(change.extensions)
    return Change._make(fields)
