"""What a user's settings make of the errors that their own code raises: one rule for each type of exception. Pure.

A rule never sees an error of ours: what a store says of itself must not become a dead letter because a rule named
`Exception`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

from isthmus.errors import Fatal, IsthmusError, Poison, TargetDown, Transient
from isthmus.errortable import Then
from isthmus.pipeline import Pipeline, RowFunction
from isthmus.retry import Backoff

_OURS = "isthmus."


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """What an exception of this type means. The most special rule along its line of ancestors counts."""

    name: str
    """The cause of the `Transient`, or the reason of the `Poison`: a short, constant word."""
    kind: type[Exception]
    then: Then
    backoff: Backoff | None = None
    """Of a `Transient`: when it is tried again. None: as any other."""
    attempts: int | None = None
    """Of a `Transient`: how often it may come at one change, which is then parked. None: for ever."""

    def error(self, error: BaseException) -> IsthmusError:
        """Give our error for one of this type. Its own words may hold values of rows: they stay out."""
        message = f"{type(error).__name__} was raised."
        match self.then:
            case Then.TRANSIENT:
                return Transient(message, cause=self.name, backoff=self.backoff, attempts=self.attempts)
            case Then.TARGET_DOWN:
                return TargetDown(message, cause=self.name)
            case Then.POISON:
                return Poison(self.name, message)
            case Then.FATAL:
                return Fatal(message, hint=f"The settings say so, in [errors.{self.name}].")


class ErrorRules:
    """All rules of the settings."""

    def __init__(self, rules: Iterable[ErrorRule] = ()) -> None:
        """Raise ValueError for two rules of one type."""
        self._by_kind: dict[type, ErrorRule] = {}
        for rule in rules:
            if rule.kind in self._by_kind:
                raise ValueError(f"two rules for {rule.kind.__name__}")
            self._by_kind[rule.kind] = rule

    def of(self, error: BaseException) -> ErrorRule | None:
        """Give the rule for an error, or None: then it means what it would mean without any."""
        if is_ours(type(error)):
            return None
        return next((self._by_kind[kind] for kind in type(error).__mro__ if kind in self._by_kind), None)

    def around(self, function: Callable[..., Any], *, counting: bool = False) -> Callable[..., Any]:
        """Give the function with its errors turned into ours, where a rule says so.

        With `counting` the attempts of a rule are counted here, one after another without a success between them: for
        whoever is called again in place for one row until it goes. The last of them is `Poison`.
        """
        if not self._by_kind:
            return function
        failed = 0

        @wraps(function)
        def called(*arguments: Any, **options: Any) -> Any:
            nonlocal failed
            try:
                given = function(*arguments, **options)
            except Exception as error:
                rule = self.of(error)
                if rule is None:
                    failed = 0
                    raise
                failed += 1
                if counting and rule.attempts is not None and failed >= rule.attempts:
                    failed = 0
                    rule = replace(rule, then=Then.POISON)
                raise rule.error(error) from error
            failed = 0
            return given

        return called

    def of_pipeline(self, pipeline: Pipeline) -> Pipeline:
        """Give the pipeline with the rules around all that is the user's own code in it, but for the contract."""
        if not self._by_kind:
            return pipeline
        row = pipeline.row
        return replace(
            pipeline,
            key=self.around(pipeline.key, counting=True),
            translate=self.around(pipeline.translate, counting=True),
            handlers=tuple(self.around(handler) for handler in pipeline.handlers),
            row=RowFunction(row.columns, self.around(row.values)) if row is not None else None,
        )


def is_ours(kind: type[BaseException]) -> bool:
    """Say whether a type of error is Isthmus's own: a user's class that is derived from one is not."""
    return issubclass(kind, IsthmusError) and kind.__module__.startswith(_OURS)
