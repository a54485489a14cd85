"""Finds the user's own code that the settings name as `module:object`, and looks at it before anything starts."""

import difflib
import importlib
import inspect
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, PydanticUserError

from isthmus.change import Kind
from isthmus.errors import Mistake, WrongSettings
from isthmus.pipeline import Pipeline, RowFunction
from isthmus.settings.errors import rules_of
from isthmus.settings.models import Entity, Settings
from isthmus.settings.values import NAME_ALLOWED, is_name

_FUNCTION = "a function, no async one and no generator"
"""What is called, and does its work before it returns."""


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

    The rules of `[errors]` are around the user's code in them. Raises `WrongSettings` with every mistake: what is not
    there or no `Pipeline`, a part of it that is not what it must be, an entity type that has no section or two sources,
    a table that is missing, a column for a field that the contract does not have, a rule for what is no exception.
    """
    found: dict[str, Any] = {}
    mistakes: list[Mistake] = []
    file = str(settings.file)
    for source, section in settings.sources.items():
        try:
            pipeline = load_object(section.pipeline, settings.folder)
        except LookupError as error:
            objections = [str(error)]
        else:
            objections = list(_objections(pipeline, found, settings))
            if isinstance(pipeline, Pipeline):
                found[source] = pipeline
        mistakes += [
            Mistake(file, f"sources.{source}.pipeline", f'"{section.pipeline}"', objection) for objection in objections
        ]
    mistakes += [
        Mistake(file, f"entities.{entity}.{key}", value, objection)
        for entity, section in settings.entities.items()
        for pipeline in found.values()
        if pipeline.entity == entity
        for key, value, objection in _unfit_section(pipeline, section)
    ]
    rules, wrong = rules_of(settings.errors, load_object, settings.folder)
    mistakes += [Mistake(file, f"errors.{name}.type", value, objection) for name, value, objection in wrong]
    if mistakes:
        raise WrongSettings(mistakes)
    return {source: rules.of_pipeline(pipeline) for source, pipeline in found.items()}


def _objections(pipeline: object, others: dict[str, Any], settings: Settings) -> Iterator[str]:
    if not isinstance(pipeline, Pipeline):
        yield f"must be an isthmus.pipeline.Pipeline, and is a {type(pipeline).__name__}"
        return
    yield from _wrong_parts(pipeline)
    if not is_name(pipeline.entity):
        return
    if pipeline.entity not in settings.entities:
        yield f"makes entities of type {pipeline.entity}: add a section [entities.{pipeline.entity}]"
    for source, other in others.items():
        if other.entity == pipeline.entity:
            yield f"makes entities of type {pipeline.entity}, which come from the source {source} already"


def _unfit_section(pipeline: Any, section: Entity) -> Iterator[tuple[str, str, str]]:
    """Compare an entity type's section with its pipeline: give the key there, what stands there, what is allowed."""
    row = pipeline.row if isinstance(pipeline.row, RowFunction) else None
    if section.table is None and pipeline.kind is Kind.STATE:
        yield "table", "", "is required: an entity of kind state is a row of it"
    elif section.table is None and not pipeline.handlers:
        yield "table", "", "is required where the pipeline has no handlers: else its events would have no effect"
    elif section.table is None and row is not None:
        yield "table", "", "is required: the pipeline has a row function"
    for field, column in section.columns.items():
        if row is not None:
            yield f"columns.{field}", f'"{column}"', "says nothing: the pipeline's row function names the columns"
        elif _is_model(pipeline.contract) and field not in pipeline.contract.model_fields:
            yield f"columns.{field}", f'"{column}"', f"the contract has no field {field}"
    if row is not None and not _wrong_row(row):
        keys = "key_columns" if section.key_columns else "key_column"
        ours: dict[str | None, str] = {**dict.fromkeys(section.keys, keys), section.version_column: "version_column"}
        for column in row.columns:
            if column in ours:
                yield ours[column], f'"{column}"', "must differ from the columns of the pipeline's row function"


def _wrong_row(row: Any) -> str:
    """Say what is wrong with a row function, or give the empty string."""
    if not isinstance(row, RowFunction):
        return f"its row must be an isthmus.pipeline.RowFunction, and is {_named(row)}"
    columns = row.columns
    if not isinstance(columns, tuple | list) or not columns or not all(isinstance(each, str) for each in columns):
        return "the columns of its row must be a tuple or a list of names, with a comma after a single one"
    if len(set(columns)) < len(columns):
        return "the columns of its row must not name one twice"
    if not _is_function(row.values):
        return f"the values of its row must be {_FUNCTION}, and are {_named(row.values)}"
    return ""


def _wrong_parts(pipeline: Any) -> Iterator[str]:
    """Compare a pipeline's parts with the types that it declares: Python itself does not."""
    if not is_name(pipeline.entity):
        yield f"its entity must be a name of {NAME_ALLOWED}"
    yield from _wrong_contract(pipeline.contract)
    for name in ("key", "translate"):
        if not _is_function(getattr(pipeline, name)):
            yield f"its {name} must be {_FUNCTION}, and is {_named(getattr(pipeline, name))}"
    # The value's text alone will not do: the translator asks for the very member.
    if not isinstance(pipeline.kind, Kind):
        yield f"its kind must be Kind.STATE or Kind.EVENT of isthmus.change, and is {_named(pipeline.kind)}"
    if not isinstance(pipeline.handlers, tuple | list):
        yield (
            "its handlers must be a tuple or a list of functions, with a comma after a single one, e.g. (on_change,), "
            f"and are {_named(pipeline.handlers)}"
        )
    else:
        for number, handler in enumerate(pipeline.handlers, start=1):
            if not _is_function(handler):
                yield f"its handler {number} must be {_FUNCTION}, and is {_named(handler)}"
    if not isinstance(pipeline.version, str):
        yield f"its version must be text in quotes, and is {_named(pipeline.version)}"
    if pipeline.row is not None and (objection := _wrong_row(pipeline.row)):
        yield objection


def _wrong_contract(contract: Any) -> Iterator[str]:
    if not _is_model(contract):
        yield f"its contract must be a pydantic model, a subclass of BaseModel, and is {_named(contract)}"
        return
    if contract.model_config.get("strict") is not True:
        yield f"its contract {contract.__name__} must be strict: give it model_config = ConfigDict(strict=True)"
    try:
        # What is still missing would otherwise be missed by the first change.
        contract.model_rebuild()
    except (PydanticUserError, NameError):
        yield f"its contract {contract.__name__} names a type that is not defined, or that pydantic does not know"


def _is_model(contract: object) -> bool:
    return isinstance(contract, type) and issubclass(contract, BaseModel)


def _is_function(value: object) -> bool:
    # Calling another one does nothing but make a coroutine or a generator: an effect would be lost without a word.
    called = value if inspect.isroutine(value) or isinstance(value, partial) else getattr(value, "__call__", None)  # noqa: B004 - looked into
    others = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)
    return callable(value) and not any(is_other(called) for is_other in others)


def _named(value: object) -> str:
    """Name what a part is instead. Its value is not shown."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if inspect.isfunction(value):
        return f"the function {value.__name__}"
    return f"a {type(value).__name__}"
