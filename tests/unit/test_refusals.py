"""What a contract raises: known at once, unknown only when it comes again."""

from typing import Any

import pytest

from isthmus.change import Kind
from isthmus.consumer.refusals import CONTRACT_ERROR, refusal_of
from isthmus.consumer.stores.port import Entity
from isthmus.errors import IsthmusError, Poison, TargetDown, Transient
from tests.fakes.store_world import delivered, upsert


class Contract:
    """Raises what is planned, one after the other."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def __call__(self, _data: Any) -> None:
        if self.errors:
            raise self.errors.pop(0)


def reason(*errors: Exception) -> str | None:
    found = refusal_of(Entity("thing", Kind.STATE, None, Contract(*errors)), delivered(upsert(1)))
    return found.poison.reason if found is not None else None


def test_an_unknown_error_of_a_contract_parks_only_when_it_comes_again() -> None:
    assert reason(ZeroDivisionError()) is None
    assert reason(ZeroDivisionError(), ValueError()) == CONTRACT_ERROR


def test_what_breaks_a_contract_is_poison_and_an_outage_is_not() -> None:
    assert reason(Poison("contract"), Poison("contract")) == "contract"
    assert reason(ZeroDivisionError(), Poison("contract")) == "contract"
    errors: list[IsthmusError] = [Transient("busy"), TargetDown("away")]
    for error in errors:
        with pytest.raises(type(error)):
            reason(error)
