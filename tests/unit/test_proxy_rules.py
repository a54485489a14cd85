"""When a user's rules strike: by number, by seed, in phases, and again after what had no effect."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from isthmus.console.proxy.kinds import Kind, Manner, Service
from isthmus.console.proxy.rules import Due, Rule, Rules

KINESIS = Service.KINESIS
OPERATIONS = ("PutRecords", "GetRecords")


def rule(kind: Kind = Kind.THROTTLE, name: str = "it", **more: Any) -> Rule:
    return Rule(name, KINESIS, kind, **more)


def play(rules: Rules, operations: list[str]) -> list[list[tuple[str, int]]]:
    """Let these requests come, and every fault have its effect; give what struck each."""
    found: list[list[tuple[str, int]]] = []
    for operation in operations:
        due = rules.due(KINESIS, (operation,), lambda _: True)
        found.append([(each.rule.name, each.number) for each in due])
        for each in due:
            rules.fired(each)
    return found


def struck(rules: Rules, number: int) -> list[int]:
    """Give the numbers of those of so many requests that are struck."""
    return [place for place, due in enumerate(play(rules, ["PutRecords"] * number), 1) if due]


def make(*rules: Rule, seed: int = 0, now: float = 0.0) -> Rules:
    return Rules(rules, seed, lambda: now)


RULES = st.builds(
    Rule,
    st.sampled_from(["a", "b", "c"]),
    st.just(KINESIS),
    st.sampled_from([Kind.THROTTLE, Kind.RESET, Kind.LATENCY]),
    st.sampled_from([frozenset(), frozenset({"PutRecords"}), frozenset(OPERATIONS)]),
    every=st.integers(1, 5),
    probability=st.sampled_from([1.0, 0.5, 0.1]),
    times=st.none() | st.integers(1, 5),
    first=st.integers(1, 5),
    last=st.none() | st.integers(5, 30),
)
PLANS = st.lists(RULES, max_size=4)
REQUESTS = st.lists(st.sampled_from(OPERATIONS), max_size=60)


@given(PLANS, REQUESTS, st.integers(0, 1000))
def test_the_same_seed_and_the_same_requests_give_the_same_faults(
    plan: list[Rule], requests: list[str], seed: int
) -> None:
    assert play(make(*plan, seed=seed), requests) == play(make(*plan, seed=seed), requests)


@given(PLANS, REQUESTS)
def test_a_rule_strikes_what_it_names_within_its_numbers_and_no_more_often_than_it_says(
    plan: list[Rule], requests: list[str]
) -> None:
    rules = make(*plan)
    play(rules, requests)
    for each, count in zip(plan, rules.counts, strict=True):
        assert count.open == 0
        assert count.fired <= (each.times if each.times is not None else len(requests))
        named = [operation for operation in requests if operation in (each.operations or OPERATIONS)]
        assert count.seen == len(named)
        assert count.fired <= max(0, min(len(named), each.last or len(named)) - each.first + 1)


@given(PLANS, REQUESTS)
def test_of_one_request_every_latency_and_one_other_fault_at_most_is_due_latencies_first(
    plan: list[Rule], requests: list[str]
) -> None:
    rules = make(*plan)
    for operation in requests:
        due = rules.due(KINESIS, (operation,), lambda _: True)
        kinds = [each.rule.kind is Kind.LATENCY for each in due]
        assert kinds == sorted(kinds, reverse=True)
        assert kinds.count(False) <= 1
        for each in due:
            rules.fired(each)


@given(PLANS, REQUESTS, st.data())
def test_what_had_no_effect_strikes_a_later_request_and_nothing_is_struck_twice_over(
    plan: list[Rule], requests: list[str], data: st.DataObject
) -> None:
    rules = make(*plan)
    flying: list[Due] = []
    fired = 0
    for operation in requests:
        flying += rules.due(KINESIS, (operation,), lambda _: True)
        while flying and data.draw(st.booleans()):
            if data.draw(st.booleans()):
                rules.fired(flying.pop(0))
                fired += 1
            else:
                rules.put_back(flying.pop(0))
        assert sum(count.open for count in rules.counts) == len(flying)
        assert sum(count.fired for count in rules.counts) == fired
        for each, count in zip(plan, rules.counts, strict=True):
            assert each.times is None or count.fired + count.open <= each.times


def test_every_nth_request_is_struck_from_the_first_one_on() -> None:
    assert struck(make(rule(every=3)), 10) == [3, 6, 9]
    assert struck(make(rule(every=3, first=5)), 12) == [7, 10]
    assert struck(make(rule(first=3, last=4)), 10) == [3, 4]
    assert struck(make(rule(every=2, times=2)), 10) == [2, 4]


def test_another_seed_chooses_other_requests_about_as_often_as_the_probability_says() -> None:
    chosen = [struck(make(rule(probability=0.2), seed=seed), 1000) for seed in (1, 2)]
    assert chosen[0] != chosen[1]
    assert all(150 < len(each) < 250 for each in chosen)


def test_what_strikes_in_the_same_way_each_time_is_chosen_by_another_seed_than_whether_it_strikes() -> None:
    rules = make(rule())
    seeds = {due.seed for _ in range(20) for due in rules.due(KINESIS, ("PutRecords",), lambda _: True)}
    assert len(seeds) == 20


def test_two_rules_for_the_same_request_strike_one_after_the_other() -> None:
    found = play(make(rule(name="a", every=2), rule(name="b", every=2)), ["PutRecords"] * 5)
    assert [[name for name, _ in due] for due in found] == [[], ["a"], ["b"], ["a"], ["b"]]


def test_latency_comes_on_top() -> None:
    slow = rule(Kind.LATENCY, "slow", manner=Manner(seconds=1.0))
    assert play(make(rule(), slow), ["PutRecords"]) == [[("slow", 1), ("it", 1)]]


def test_a_request_that_a_fault_cannot_happen_to_is_none_of_its() -> None:
    rules = make(rule(every=2))
    fits = [True, False, False, True]
    due = [rules.due(KINESIS, ("PutRecords",), lambda _, fit=fit: fit) for fit in fits]  # type: ignore[misc]
    assert [bool(each) for each in due] == [False, False, False, True]
    assert rules.counts[0].seen == 2


def test_what_was_put_back_strikes_the_next_request_and_does_not_count() -> None:
    rules = make(rule(every=3, times=1))
    due = [rules.due(KINESIS, ("PutRecords",), lambda _: True) for _ in range(3)][2]
    assert rules.due(KINESIS, ("PutRecords",), lambda _: True) == []
    rules.put_back(due[0])
    assert rules.counts[0].fired == 0
    assert len(rules.due(KINESIS, ("PutRecords",), lambda _: True)) == 1


def test_other_services_and_operations_are_not_counted() -> None:
    rules = make(rule(operations=frozenset({"PutRecords"})))
    assert rules.due(Service.SQS, ("PutRecords",), lambda _: True) == []
    assert rules.due(KINESIS, ("GetRecords",), lambda _: True) == []
    assert rules.counts[0].seen == 0


def test_a_phase_in_seconds_begins_and_ends() -> None:
    times = iter([0.0, 9.9, 10.0, 19.9, 20.0])
    rules = Rules([rule(begins=10.0, ends=20.0)], 0, lambda: next(times))
    assert struck(rules, 5) == [3, 4]


def test_a_fault_whose_effect_is_not_known_yet_is_one_of_its_times() -> None:
    rules = make(rule(times=2))
    due = [rules.due(KINESIS, ("PutRecords",), lambda _: True) for _ in range(3)]
    assert [len(each) for each in due] == [1, 1, 0]
    rules.put_back(due[0][0])
    assert [len(rules.due(KINESIS, ("PutRecords",), lambda _: True)) for _ in range(2)] == [1, 0]
