"""Reads `isthmus.toml` and checks it as a whole. The one place that looks into the environment."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from isthmus.errors import Fatal, Mistake, WrongSettings
from isthmus.settings.models import Settings, named_after_the_application
from isthmus.settings.relations import RELATIONS, objections
from isthmus.settings.sentences import as_written, key_path, mistakes_in
from isthmus.settings.values import Place


def load(path: Path, environ: Mapping[str, str] | None = None, *, dialects: bool = True) -> Settings:
    """Read the settings at `path`; `environ` stands in for the process's environment.

    Relative paths in them start from the file's own folder. Without `dialects` nobody asks SQLAlchemy about database
    addresses: for a process that connects to no back office, and would take 11 MB of memory to check its address.

    Raises `WrongSettings` with every mistake.
    """
    file = str(path)
    written = _read(path)
    place = Place(path.absolute(), os.environ if environ is None else environ, dialects)
    settings: Settings | None = None
    mistakes: list[Mistake] = []
    wrong: set[object] = set()
    try:
        settings = Settings.model_validate(written, context=place)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        mistakes = mistakes_in(details, written, Settings, file)
        wrong = {each["loc"][0] for each in details}
    mistakes += [
        Mistake(file, key_path(where), as_written(written, where), allowed)
        for where, allowed in objections(_right_sections(written, place, wrong), written)
    ]
    if mistakes or settings is None:
        raise WrongSettings(mistakes)
    return settings


def environment() -> dict[str, str]:
    """Give the whole environment, for a program that is started with all of it: it may hold secrets."""
    return dict(os.environ)


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Give the folder for what can be fetched again: `isthmus` in $XDG_CACHE_HOME or ~/.cache.

    The XDG Base Directory Specification has a relative path ignored. Raises `Fatal` where there is no home folder.
    """
    given = Path((os.environ if environ is None else environ).get("XDG_CACHE_HOME", ""))
    if given.is_absolute():
        return given / "isthmus"
    try:
        return Path.home() / ".cache" / "isthmus"
    except RuntimeError as error:
        raise Fatal("There is no home folder to install into.", hint="Name one with --dir.") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        mistake = Mistake(
            str(path),
            "file",
            "",
            "is not there. Name another one with --config, copy docs/isthmus.example.toml, or run `isthmus demo`",
        )
    except OSError as error:
        mistake = Mistake(str(path), "file", "", f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        mistake = Mistake(str(path), f"byte {error.start}", "", "must be UTF-8 text")
    except tomllib.TOMLDecodeError as error:
        what, _, where = str(error).rpartition(" (")
        mistake = Mistake(str(path), where.removeprefix("at ").rstrip(")"), "", f"is not TOML: {what}")
    raise WrongSettings([mistake])


def _right_sections(written: Mapping[str, Any], place: Place, wrong: set[object]) -> dict[str, Any]:
    """Give the sections that relations ask for and that are right in themselves, as they would be in `Settings`."""
    needed = {name for needs, _ in RELATIONS for name in needs}
    types = get_type_hints(Settings)
    named = named_after_the_application(written)
    return {
        name: TypeAdapter(types[name]).validate_python(named.get(name, {}), context=place)
        for name in sorted(needed - wrong, key=str)
    }
