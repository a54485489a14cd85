"""What the settings make of errors that a user's own code raises."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from isthmus.chance import seeded_chance
from isthmus.change import Kind
from isthmus.errorrules import ErrorRule, ErrorRules
from isthmus.errors import Fatal, IsthmusError, Poison, TargetDown, Transient
from isthmus.errortable import Then
from isthmus.pipeline import Pipeline, RowFunction
from isthmus.producer.usercode import Untranslatable, guarded
from isthmus.retry import Backoff, keep_trying
from tests.fakes.clock import FakeClock, FakeStop

SLOWLY = Backoff(5.0, 3.0, 100.0, jitter=False)


class PartnerAwayError(ConnectionError):
    """A user's own."""


class BusyError(Transient):
    """A user's own that says by itself what happens next."""


def rule(kind: type[Exception], then: Then = Then.TRANSIENT, **other: Any) -> ErrorRule:
    return ErrorRule("partner", kind, then, **other)


def raising(error: BaseException) -> Callable[..., Any]:
    def function(*_: object) -> None:
        raise error

    return function


@pytest.mark.parametrize(
    "then, kind", [("Transient", Transient), ("TargetDown", TargetDown), ("Poison", Poison), ("Fatal", Fatal)]
)
def test_a_type_of_exception_means_what_its_rule_says(then: str, kind: type[IsthmusError]) -> None:
    function = ErrorRules([rule(ValueError, Then(then))]).around(raising(ValueError("a row's value")))
    with pytest.raises(kind) as caught:
        function()
    assert type(caught.value) is kind
    assert "a row's value" not in str(caught.value)
    assert "ValueError was raised." in str(caught.value)
    assert "partner" in {getattr(caught.value, "cause", ""), getattr(caught.value, "reason", "")} or kind is Fatal


def test_the_most_special_rule_counts() -> None:
    rules = ErrorRules([rule(OSError, Then.POISON), rule(ConnectionError)])
    found = [rules.of(error) for error in (PartnerAwayError(), FileNotFoundError(), ValueError())]
    assert [each.then if each else None for each in found] == [Then.TRANSIENT, Then.POISON, None]


@pytest.mark.parametrize("error", [TargetDown("away"), Poison("bad"), Transient("busy"), Fatal("no")])
def test_no_rule_turns_an_error_of_ours_into_another(error: IsthmusError) -> None:
    with pytest.raises(type(error)) as caught:
        ErrorRules([rule(Exception, Then.POISON)]).around(raising(error))()
    assert caught.value is error


def test_a_users_class_that_is_derived_from_one_of_ours_may_have_a_rule() -> None:
    assert ErrorRules([rule(BusyError)]).of(BusyError("busy")) is not None
    assert ErrorRules().of(BusyError("busy")) is None


@pytest.mark.parametrize("error", [SystemExit(), KeyboardInterrupt(), GeneratorExit()])
def test_what_is_no_exception_passes(error: BaseException) -> None:
    with pytest.raises(type(error)):
        ErrorRules([rule(Exception)]).around(raising(error))()


def test_schedule_and_attempts_travel_with_the_error() -> None:
    function = ErrorRules([rule(ValueError, backoff=SLOWLY, attempts=7)]).around(raising(ValueError()))
    with pytest.raises(Transient) as caught:
        function()
    assert (caught.value.backoff, caught.value.attempts, caught.value.cause) == (SLOWLY, 7, "partner")
    assert [SLOWLY.delay(n, seeded_chance("any")) for n in (1, 2, 3, 4)] == [5.0, 15.0, 45.0, 100.0]


def test_an_error_with_a_schedule_of_its_own_is_waited_for_by_that_one() -> None:
    clock = FakeClock()
    stop = FakeStop(clock)
    errors = [Transient("a", backoff=SLOWLY), Transient("b"), Transient("c", backoff=SLOWLY)]

    def action() -> str:
        if errors:
            raise errors.pop(0)
        return "done"

    done = keep_trying(
        action, stop=stop, chance=seeded_chance("any"), backoff=Backoff(jitter=False), on_failure=lambda *_: None
    )
    assert (done, stop.waits) == ("done", [5.0, 0.2, 45.0])


def test_two_rules_for_one_type_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="two rules for ValueError"):
        ErrorRules([rule(ValueError), rule(ValueError)])


def test_where_nothing_else_counts_the_last_attempt_in_a_row_is_poison() -> None:
    answers: list[Exception | str] = [ValueError(), "fine", ValueError(), ValueError(), ValueError()]

    def translate() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    counted = ErrorRules([rule(ValueError, attempts=3)]).around(translate, counting=True)
    found = []
    while answers:
        try:
            found.append(counted())
        except (Transient, Poison) as error:
            found.append(type(error).__name__)
    assert found == ["Transient", "fine", "Transient", "Transient", "Poison"]


class Guest(BaseModel):
    name: str


def test_rules_are_around_all_that_is_a_users_own() -> None:
    function = raising(PartnerAwayError())
    pipeline = Pipeline(
        "guest", Guest, function, function, Kind.STATE, (function,), row=RowFunction(("name",), function)
    )
    ruled = ErrorRules([rule(ConnectionError)]).of_pipeline(pipeline)
    assert ruled.row is not None
    theirs: list[Callable[..., Any]] = [ruled.key, ruled.translate, *ruled.handlers, ruled.row.values]
    for each in theirs:
        with pytest.raises(Transient):
            each({})
    with pytest.raises(Transient):
        guarded("any", ruled.translate, {}, None)
    with pytest.raises(Untranslatable):
        guarded("any", pipeline.translate, {}, None)


def test_without_rules_nothing_is_wrapped() -> None:
    pipeline = Pipeline("guest", Guest, str, raising(ValueError()))
    assert ErrorRules().of_pipeline(pipeline) is pipeline
    assert ErrorRules().around(str) is str
