"""What a planted bug is."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """One bug: `old` stands once in `file`, and becomes `new`; one of `tests` must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
