"""Finds the user's own code that the settings name as `module:object`."""

import difflib
import importlib
import sys
from pathlib import Path
from typing import Any

from isthmus.errors import Mistake, WrongSettings
from isthmus.pipeline import Pipeline
from isthmus.settings.models import Settings


def load_object(name: str, folder: Path) -> Any:
    """Give the object that `module:object` names; modules may lie in `folder` too.

    The folder comes last on `sys.path`, so that a user's `queue.py` never stands in for the standard library's,
    and stays there: user code may import when it runs. Raises `LookupError` with a sentence.
    """
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    module_name, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise LookupError(f"there is no module {error.name}, neither installed nor in {folder}") from error
        raise LookupError(f"the module {module_name} needs {error.name}, which is not installed") from error
    except (Exception, SystemExit) as error:  # user code runs at import: it may raise anything
        raise LookupError(f"importing {module_name} failed: {type(error).__name__}: {error}") from error
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            near = difflib.get_close_matches(part, dir(found), n=1)
            place = getattr(found, "__file__", None) or module_name
            hint = f"; did you mean {near[0]}?" if near else ""
            raise LookupError(f"there is no {part} in {place}{hint}") from error
    return found


def load_pipelines(settings: Settings) -> dict[str, Pipeline]:
    """Give each source's pipeline, by the source's name.

    Raises `WrongSettings` with every mistake: what is not there or no `Pipeline`, an entity type that has no
    section or two sources, a column for a field that the contract does not have.
    """
    found: dict[str, Pipeline] = {}
    mistakes: list[Mistake] = []
    file = str(settings.file)
    for source, section in settings.sources.items():
        try:
            pipeline = load_object(section.pipeline, settings.folder)
        except LookupError as error:
            objection = str(error)
        else:
            objection = _objection(pipeline, found, settings)
            if not objection:
                found[source] = pipeline
        if objection:
            mistakes.append(Mistake(file, f"sources.{source}.pipeline", f'"{section.pipeline}"', objection))
    mistakes += [
        Mistake(file, f"entities.{entity}.columns.{field}", f'"{column}"', f"the contract has no field {field}")
        for entity, section in settings.entities.items()
        for pipeline in found.values()
        if pipeline.entity == entity
        for field, column in section.columns.items()
        if field not in pipeline.contract.model_fields
    ]
    if mistakes:
        raise WrongSettings(mistakes)
    return found


def _objection(pipeline: object, others: dict[str, Pipeline], settings: Settings) -> str:
    if not isinstance(pipeline, Pipeline):
        return f"must be an isthmus.pipeline.Pipeline, and is a {type(pipeline).__name__}"
    if pipeline.entity not in settings.entities:
        return f"makes entities of type {pipeline.entity}: add a section [entities.{pipeline.entity}]"
    for source, other in others.items():
        if other.entity == pipeline.entity:
            return f"makes entities of type {pipeline.entity}, which come from the source {source} already"
    return ""
