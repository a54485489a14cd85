"""A file of right settings, to be made wrong in one place."""

import textwrap
from pathlib import Path

import pytest

from isthmus.errors import Mistake, WrongSettings
from isthmus.settings import Settings, load

RIGHT = """
application = "flights"
[stream]
name = "flights"
[sources.flights]
pipeline = "pipelines:flights"
url = "sqlite:///back-office.db"
table = "FLTMST"
key = ["CARR", "FLTNO"]
cursor = "UPDSEQ"
order = "commit"
[sources.flights.references.airports]
table = "AIRPORTS"
key = "FAA"
[entities.flight]
table = "flight"
[store]
url = "sqlite:///front-office.db"
"""

CUSTOMERS = """
[stream]
name = "customers"
[sources.customers]
pipeline = "isthmus_examples.customers.pipeline:customers"
url = "sqlite:///back-office.db"
table = "CUST"
key = "CUSTNO"
cursor = "CHGNO"
order = "commit"
[entities.customer]
table = "customer"
"""
"""What the customers example needs beside `[aws]` and `[store]`."""


class Files:
    """Writes a settings' file and loads it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "isthmus.toml"

    def load(self, text: str = RIGHT, **environ: str) -> Settings:
        self.path.write_text(textwrap.dedent(text), encoding="utf-8")
        return load(self.path, environ)

    def mistakes(self, text: str, **environ: str) -> list[Mistake]:
        with pytest.raises(WrongSettings) as caught:
            self.load(text, **environ)
        return caught.value.mistakes

    def only_mistake(self, text: str, **environ: str) -> Mistake:
        (mistake,) = self.mistakes(text, **environ)
        assert mistake.file == str(self.path)
        return mistake


def in_section(name: str, line: str) -> str:
    """Give right settings with one more line in a section, in place of the line for the same key, if any."""
    key = line.partition("=")[0].strip()
    head, _, rest = RIGHT.partition(f"[{name}]\n")
    section, bracket, after = rest.partition("\n[")
    kept = "\n".join(each for each in section.splitlines() if each.partition("=")[0].strip() != key)
    return f"{head}[{name}]\n{line}\n{kept}\n{bracket}{after}"
