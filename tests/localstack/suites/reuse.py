"""Takes the tests of other modules as they are: in this folder their `emulator` is LocalStack."""

from types import ModuleType
from typing import Any


def everything_of(*modules: ModuleType) -> dict[str, Any]:
    """Give what stands in the modules by name, for `globals().update`: tests, fixtures, marks."""
    found: dict[str, Any] = {}
    for module in modules:
        own = {name: value for name, value in vars(module).items() if not name.startswith("__")}
        clashing = [name for name, value in own.items() if found.get(name, value) is not value]
        assert not clashing, f"one would replace the other: {clashing}"
        found |= own
    return found
