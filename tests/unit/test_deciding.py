"""The pure rules of deciding, as sentences and in every small case."""

import itertools

import pytest

from isthmus.change import Change, Kind, Outcome, Verb, version_of
from isthmus.consumer.deciding import (
    ANOTHER_TYPE,
    BEHIND,
    TRY,
    Decision,
    Guard,
    Memory,
    applied,
    count,
    decide,
    drained,
    fenced,
    held,
    parked,
    raise_fence,
)

DUPLICATE, STALE, PARKED, HELD = Outcome.DUPLICATE, Outcome.STALE, Outcome.PARKED, Outcome.HELD


def change(
    n: int = 2,
    verb: Verb = Verb.UPSERT,
    *,
    txn: str = "",
    rowhash: str = "hash",
    data: object = None,
    entity: str = "thing",
) -> Change:
    return Change(txn or f"txn-{n}", "source", entity, verb, "k", version_of(0, n), 1, 5, "", data, rowhash)


def guard(n: int, *, txn: str = "", rowhash: str = "hash", deleted: bool = False, entity: str = "thing") -> Guard:
    return Guard(version_of(0, n), txn or f"txn-{n}", rowhash, deleted, entity)


def memory(**remembered: object) -> Memory:
    made = Memory()
    for name, value in remembered.items():
        setattr(made, name, value)
    return made


def parking(n: int, rowhash: str = "hash") -> Memory:
    made = Memory()
    parked(change(n, rowhash=rowhash), made)
    return made


# state


def test_what_is_newer_than_the_guard_or_the_first_of_its_key_is_tried() -> None:
    assert decide(change(2), Kind.STATE, Memory()) == TRY
    assert decide(change(2), Kind.STATE, memory(guards={"k": guard(1)})) == TRY


@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize("version", [2, 3])
def test_what_is_not_newer_than_the_guard_is_stale_also_after_a_delete(version: int, *, deleted: bool) -> None:
    remembered = memory(guards={"k": guard(version, txn="other", deleted=deleted)})
    assert decide(change(2), Kind.STATE, remembered) == Decision(STALE)


def test_versions_are_compared_as_numbers_whatever_their_length_in_digits() -> None:
    assert decide(change(10), Kind.STATE, memory(guards={"k": guard(9)})) == TRY
    assert decide(change(9), Kind.STATE, memory(guards={"k": guard(10)})).outcome is STALE


def test_a_raised_generation_is_newer_than_every_position_before_it() -> None:
    again = change(1)._replace(version=version_of(1, 1))
    assert decide(again, Kind.STATE, memory(guards={"k": guard(10**29)})) == TRY


def test_the_transaction_that_the_guard_names_is_a_duplicate() -> None:
    assert decide(change(2), Kind.STATE, memory(guards={"k": guard(2)})) == Decision(DUPLICATE)


# event


def test_of_kind_event_the_ledger_decides_and_no_guard() -> None:
    assert decide(change(2, Verb.EVENT), Kind.EVENT, memory(guards={"k": guard(9)})) == TRY
    assert decide(change(2, Verb.EVENT), Kind.EVENT, memory(ledger={"txn-2": "hash"})) == Decision(DUPLICATE)


def test_of_kind_event_what_comes_for_a_parked_key_waits_behind_older_or_newer() -> None:
    for n in (1, 3):
        assert decide(change(n, Verb.EVENT), Kind.EVENT, parking(2)) == Decision(PARKED, BEHIND)


def test_of_kind_state_nothing_waits_behind() -> None:
    for n in (1, 3):
        assert decide(change(n), Kind.STATE, parking(2)) == TRY


# the order of the questions


@pytest.mark.parametrize("kind", [Kind.STATE, Kind.EVENT, None])
@pytest.mark.parametrize("verb", [Verb.UPSERT, Verb.UNTRANSLATED])
def test_settled_is_asked_before_everything(verb: Verb, kind: Kind | None) -> None:
    remembered = parking(2)
    remembered.settled = {"txn-2"}
    remembered.guards = {"k": guard(9)}
    assert decide(change(2, verb), kind, remembered) == Decision(DUPLICATE)


@pytest.mark.parametrize("verb", [Verb.UPSERT, Verb.UNTRANSLATED])
def test_the_guard_is_asked_before_the_parking_lot(verb: Verb) -> None:
    remembered = parking(2)
    remembered.guards = {"k": guard(3)}
    assert decide(change(2, verb), Kind.STATE, remembered) == Decision(STALE)


def test_the_ledger_is_asked_before_the_parking_lot() -> None:
    remembered = parking(1)
    remembered.ledger = {"txn-2": "hash"}
    assert decide(change(2, Verb.EVENT), Kind.EVENT, remembered) == Decision(DUPLICATE)


@pytest.mark.parametrize("kind", [Kind.STATE, Kind.EVENT, None])
@pytest.mark.parametrize("verb", [Verb.EVENT, Verb.UNTRANSLATED])
def test_what_is_parked_already_is_not_written_again(verb: Verb, kind: Kind | None) -> None:
    assert decide(change(2, verb), kind, parking(2)) == Decision(PARKED, fresh=False)


def test_an_untranslated_event_of_a_parked_key_is_poison_itself() -> None:
    found = decide(change(3, Verb.UNTRANSLATED, data={"reason": "no-airport"}), Kind.EVENT, parking(2))
    assert found == Decision(PARKED, "no-airport")


@pytest.mark.parametrize("data", [None, [], {}, {"reason": ""}, {"reason": 7}, {"reason": None}])
def test_an_untranslated_change_without_a_reason_is_untranslated(data: object) -> None:
    assert decide(change(2, Verb.UNTRANSLATED, data=data), Kind.STATE, Memory()) == Decision(PARKED, "untranslated")


def test_of_an_unknown_type_whatever_is_remembered_counts() -> None:
    assert decide(change(2), None, memory(ledger={"txn-2": "hash"})) == Decision(DUPLICATE)
    assert decide(change(2), None, memory(guards={"k": guard(2)})) == Decision(DUPLICATE)
    assert decide(change(2), None, memory(guards={"k": guard(3)})) == Decision(STALE)
    assert decide(change(3), None, parking(2)) == TRY


# another type's key


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_state_with_the_key_of_another_type_is_poison_whichever_version_is_higher(version: int) -> None:
    remembered = memory(guards={"k": guard(version, txn="other", entity="order")})
    found = decide(change(2), Kind.STATE, remembered)
    assert found[:4] == Decision(PARKED, ANOTHER_TYPE)[:4]
    assert "'order'" in found.message
    assert decide(change(2), None, remembered) == TRY
    assert decide(change(2, Verb.EVENT), Kind.EVENT, remembered) == TRY
    parked(change(2), remembered)
    assert decide(change(2), Kind.STATE, remembered) == Decision(PARKED, fresh=False)


def test_the_same_transaction_under_another_type_is_a_duplicate() -> None:
    remembered = memory(guards={"k": guard(2, entity="order")})
    assert decide(change(2), Kind.STATE, remembered) == Decision(DUPLICATE)


def test_a_guard_that_says_no_type_counts_for_every_one() -> None:
    assert decide(change(2), Kind.STATE, memory(guards={"k": guard(3, entity="")})) == Decision(STALE)
    assert decide(change(2), Kind.STATE, memory(guards={"k": guard(1, entity="")})) == TRY


# alarms


@pytest.mark.parametrize(
    "remembered, kind, outcome",
    [
        (memory(guards={"k": guard(2, rowhash="other")}), Kind.STATE, DUPLICATE),
        (memory(ledger={"txn-2": "other"}), Kind.EVENT, DUPLICATE),
        (parking(2, "other"), Kind.STATE, PARKED),
    ],
)
def test_the_same_id_with_another_row_hash_is_an_alarm_and_nothing_else(
    remembered: Memory, kind: Kind, outcome: Outcome
) -> None:
    assert decide(change(2), kind, remembered) == Decision(outcome, fresh=outcome is not PARKED, alarm=True)
    assert not decide(change(2, rowhash=""), kind, remembered).alarm


# what is remembered


def test_a_state_frees_only_what_is_older_and_its_key_stays_parked_while_anything_newer_is() -> None:
    for new, old in itertools.product(range(1, 4), range(1, 4)):
        remembered = parking(old)
        assert applied(change(new, txn="new"), Kind.STATE, remembered)
        assert ("k" in remembered.newest_parked) is (old >= new)


def test_a_delete_frees_as_a_state_does_and_leaves_a_guard_of_a_deleted_entity() -> None:
    remembered = parking(1)
    assert applied(change(2, Verb.DELETE), Kind.STATE, remembered)
    assert remembered.guards == {"k": guard(2, deleted=True)}
    assert not remembered.newest_parked


def test_where_nothing_is_parked_nothing_is_freed() -> None:
    assert not applied(change(2), Kind.STATE, Memory())


def test_an_event_frees_nothing_and_stands_in_the_ledger() -> None:
    remembered = parking(1)
    assert not applied(change(2, Verb.EVENT), Kind.EVENT, remembered)
    assert remembered.ledger == {"txn-2": "hash"}
    assert not remembered.guards
    assert "k" in remembered.newest_parked


def test_the_newest_parked_version_never_falls() -> None:
    for order in itertools.permutations((1, 2, 3)):
        remembered = Memory()
        for n in order:
            parked(change(n), remembered)
        assert remembered.newest_parked == {"k": {"thing": version_of(0, 3)}}


def test_a_state_frees_what_is_older_of_its_own_type_and_the_key_stays_parked_for_the_others() -> None:
    remembered = parking(1)
    parked(change(2, txn="other", entity="order"), remembered)
    assert applied(change(3), Kind.STATE, remembered)
    assert remembered.newest_parked == {"k": {"order": version_of(0, 2)}}
    assert not applied(change(4), Kind.STATE, remembered)
    assert decide(change(5, Verb.EVENT), Kind.EVENT, remembered) == Decision(PARKED, BEHIND)


# the fence


def test_the_fence_stands_in_its_lane_and_source_alone() -> None:
    marker = change(verb=Verb.MARKER)._replace(epoch=6)
    fences: dict[tuple[str, int], int] = {}
    assert not fenced(change(), fences)
    assert raise_fence(marker, fences)
    assert fenced(change(), fences)
    assert not fenced(change()._replace(epoch=6), fences)
    assert not fenced(change()._replace(lane=2), fences)
    assert not fenced(change()._replace(source="other"), fences)


def test_an_old_marker_lowers_nothing() -> None:
    for epochs in itertools.permutations((1, 2, 3)):
        fences: dict[tuple[str, int], int] = {}
        raised = [raise_fence(change()._replace(epoch=epoch), fences) for epoch in epochs]
        assert fences == {("source", 1): 3}
        assert raised == [epoch == max(epochs[: place + 1]) for place, epoch in enumerate(epochs)]


def test_outcomes_are_counted_by_name() -> None:
    assert count([PARKED, STALE, PARKED]) == {"parked": 2, "stale": 1}


# held


def holding(n: int, rowhash: str = "hash") -> Memory:
    made = Memory()
    held(change(n, rowhash=rowhash), made)
    return made


@pytest.mark.parametrize("kind", [Kind.STATE, Kind.EVENT, None])
def test_what_a_closed_gate_covers_is_held_whatever_it_is(kind: Kind | None) -> None:
    assert decide(change(2), kind, Memory(), "process=billing") == Decision(HELD, "process=billing")
    assert decide(change(2, Verb.UNTRANSLATED), kind, Memory(), "everything") == Decision(HELD, "everything")


@pytest.mark.parametrize("kind", [Kind.STATE, Kind.EVENT, None])
@pytest.mark.parametrize("n", [1, 3])
def test_what_comes_while_something_of_its_key_is_held_is_held_behind_it_gate_open_or_not(
    kind: Kind | None, n: int
) -> None:
    remembered = holding(2)
    assert decide(change(n), kind, remembered) == Decision(HELD, BEHIND)
    assert decide(change(n), kind, remembered, "everything") == Decision(HELD, "everything")


def test_what_is_held_and_comes_again_is_not_held_twice() -> None:
    assert decide(change(2), Kind.EVENT, holding(2)) == Decision(HELD, fresh=False)
    other = change(2, rowhash="other")
    assert decide(other, Kind.EVENT, holding(2)) == Decision(HELD, fresh=False, alarm=True)


def test_held_is_asked_before_parked_and_after_what_was_decided_already() -> None:
    remembered = parking(1)
    held(change(2), remembered)
    assert decide(change(3), Kind.EVENT, remembered) == Decision(HELD, BEHIND)
    assert decide(change(1), Kind.EVENT, remembered).outcome is PARKED
    remembered.ledger["txn-4"] = "hash"
    assert decide(change(4), Kind.EVENT, remembered, "everything").outcome is DUPLICATE
    remembered.guards["k"] = guard(9)
    assert decide(change(5), Kind.STATE, remembered, "everything").outcome is STALE


def test_a_key_that_was_drained_is_free() -> None:
    remembered = holding(2)
    drained("k", remembered)
    assert (remembered.held, remembered.held_keys) == ({}, set())
    assert decide(change(3), Kind.STATE, remembered) is TRY
