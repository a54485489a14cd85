"""`[errors.NAME]`: what an exception of the user's own code means for what happens next."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from isthmus.errorrules import ErrorRule, ErrorRules, is_ours
from isthmus.errortable import Then
from isthmus.retry import Backoff
from isthmus.settings.section import Section
from isthmus.settings.values import ObjectName, between, wrong

_CLASSES = {
    "transient": Then.TRANSIENT,
    "target-down": Then.TARGET_DOWN,
    "poison": Then.POISON,
    "fatal": Then.FATAL,
}
_OF_TRANSIENT = ("interval", "rate", "maximum", "jitter", "attempts")


class ErrorType(Section):
    """`[errors.NAME]`. NAME is the cause in metrics and logs, or the reason in the parking lot."""

    exception: ObjectName = Field(alias="type")
    """`module:object`."""
    class_: Literal["transient", "target-down", "poison", "fatal"] = Field(alias="class")
    # A second, then twice as long each time: as AWS Step Functions' Retry ("Handling errors in Step Functions").
    interval: Annotated[float, between(0.01, 3600, "seconds")] = 1.0
    rate: Annotated[float, between(1, 10)] = 2.0
    maximum: Annotated[float, between(0.01, 86_400, "seconds")] = 60.0
    jitter: bool = True
    attempts: Annotated[int, between(0, 1_000_000)] = 0
    """0: for ever."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        said = [key for key in _OF_TRANSIENT if key in self.model_fields_set]
        if said and self.class_ != "transient":
            wrong(f'{", ".join(said)}: only class = "transient" is tried again by a schedule of its own')
        if self.maximum < self.interval:
            wrong(f"maximum must be at least interval, {self.interval:g}")
        return self

    def rule(self, name: str, kind: type[Exception]) -> ErrorRule:
        """Give the rule for the type that was found."""
        then = _CLASSES[self.class_]
        if then is not Then.TRANSIENT:
            return ErrorRule(name, kind, then)
        backoff = Backoff(self.interval, self.rate, self.maximum, self.jitter)
        return ErrorRule(name, kind, then, backoff, self.attempts or None)


def rules_of(
    sections: Mapping[str, ErrorType], load: Any, folder: Path
) -> tuple[ErrorRules, list[tuple[str, str, str]]]:
    """Give the rules, and each mistake: the section's name, what stands there, and what is allowed.

    `load(name, folder)` gives what `module:object` names, and raises `LookupError` with a sentence.
    """
    found: dict[type, ErrorRule] = {}
    mistakes = [
        (name, f'"{section.exception}"', objection)
        for name, section in sections.items()
        for objection in _objections(name, section, load, folder, found)
    ]
    return ErrorRules(found.values()), mistakes


def _objections(name: str, section: ErrorType, load: Any, folder: Path, found: dict[type, ErrorRule]) -> Iterator[str]:
    try:
        kind = load(section.exception, folder)
    except LookupError as error:
        yield str(error)
        return
    if not (isinstance(kind, type) and issubclass(kind, BaseException)):
        what = f"the class {kind.__name__}" if isinstance(kind, type) else f"a {type(kind).__name__}"
        yield f"must be a type of exception, and is {what}: name the class itself"
    elif not issubclass(kind, Exception):
        yield f"must be an Exception: {kind.__name__} ends a process, and is parked when a handler raises it"
    elif is_ours(kind):
        yield f"says by itself what happens next: derive a class of your own from {kind.__name__}, and name that"
    elif kind in found:
        yield f"is the type of [errors.{found[kind].name}] too: leave one of them out"
    else:
        found[kind] = section.rule(name, kind)
