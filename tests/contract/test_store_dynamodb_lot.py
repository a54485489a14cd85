"""The parking lot of the DynamoDB store: how keys and changes are listed, and the head of each key's lot."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from isthmus.consumer.parking import parking_of
from isthmus.consumer.stores.dynamodb.heads import Head, head_of, with_parked
from isthmus.consumer.stores.lot import ParkedKey, Selection
from isthmus.consumer.stores.port import Refusal
from isthmus.errors import Poison
from tests.contract.dynamodb_lot import discard, office, prune
from tests.contract.store_contract import world
from tests.fakes.dynamodb_desk import PlainOffice
from tests.fakes.store_world import World, delivered, event, untranslated

__all__ = ["office", "world"]


# lists

ODD = [
    "a",
    "p#1",
    "settled",
    "ledger",
    "guard#thing",
    "h#1",
    "lot",
    "fence#1#flights",
    "schema",
    "é",
    "\U0001f600",
    "a#1",
]


def test_keys_of_any_text_are_listed_in_its_order_and_taken_for_nothing_else(world: World, office: PlainOffice) -> None:
    long = ["x" * 1024, "x" * 1023 + "y", "ü" * 512]
    for key in (*ODD, *long):
        world.apply(event(1, key, note="wrong"))
    keys = sorted((*ODD, *long))
    lot = office.lot()
    assert [each.key for each in lot.parked_keys(Selection())] == keys
    paged, after = list[str](), ""
    while found := lot.parked_keys(Selection(), after=after, most=4):
        paged += [each.key for each in found]
        after = paged[-1]
    assert paged == keys
    for prefix in ("a", "x", "x" * 1023, "\U0001f600", "nobody"):
        assert [each.key for each in lot.parked_keys(Selection(prefix=prefix))] == [
            key for key in keys if key.startswith(prefix)
        ]
        assert [each.key for each in lot.parked_keys(Selection(prefix=prefix), after="a#1")] == [
            key for key in keys if key.startswith(prefix) and key > "a#1"
        ]
    counts = office.reader().counts()
    assert (counts["parked_keys"], counts["parked_changes"], counts["settled"]) == (len(keys), len(keys), 0)
    assert counts["guards"] == 0
    prune(world, world.clock.now_ms() + 1)
    assert [each.key for each in lot.parked_keys(Selection())] == keys
    office.settings = replace(office.settings, tombstones="item")
    office.store([]).prepare()


def test_several_things_that_are_said_are_true_of_one_change(world: World, office: PlainOffice) -> None:
    world.apply(event(1, note="wrong"), untranslated(1, "b"))
    first = world.clock.now_ms()
    world.clock.move(10)
    world.apply(untranslated(2)._replace(source="others"), untranslated(3))
    lot = office.lot()

    def found(**said: Any) -> list[str]:
        return [each.key for each in lot.parked_keys(Selection(**said))]

    assert found(reason="no-airport", source="others") == ["k"]
    assert found(reason="contract", source="others") == []
    assert found(reason="contract", source="flights") == ["k"]
    assert found(reason="contract", until_ms=first + 1) == ["k"]
    assert found(reason="contract", since_ms=first + 1) == []
    assert found(reason="no-airport", since_ms=first + 1) == ["k"]
    assert found(reason="no-airport", until_ms=first + 1) == ["b"]
    assert found(since_ms=first, until_ms=first + 1) == ["b", "k"]
    assert found(since_ms=first + 1) == ["k"]
    assert found(since_ms=first + 1_000_000) == []
    assert found(until_ms=first) == []
    assert found(key="k", reason="contract") == ["k"]
    assert found(key="k", reason="nothing") == []
    assert found(key="nobody") == []
    assert lot.parked_keys(Selection(key="k"), after="k") == []


def test_the_oldest_of_a_reason_is_told_by_its_keys_perhaps_too_early_and_never_too_late(
    world: World, office: PlainOffice
) -> None:
    moments = []
    for change in (event(1, note="wrong"), untranslated(1, "b"), untranslated(2)):
        world.apply(change)
        moments.append(world.clock.now_ms())
        world.clock.move(60)
    since = {each.reason: each.since_ms for each in office.reader().parked_by_reason()}
    assert since == {"contract": moments[0], "no-airport": moments[0]}
    assert discard(world, "k", "k-1", "k-2") == 2
    since = {each.reason: each.since_ms for each in office.reader().parked_by_reason()}
    assert since == {"no-airport": moments[1]}


def test_a_key_is_read_on_where_the_last_page_ended(world: World, office: PlainOffice) -> None:
    world.apply(*[event(n, note="wrong") for n in range(1, 24)])
    lot = office.lot()
    pages = [lot.parked_of("k", skip=skip, most=5) for skip in (0, 5, 10, 15, 20)]
    assert [each.txn for page in pages for each in page] == [f"k-{n}" for n in range(1, 24)]
    assert [each.txn for each in lot.parked_of("k", skip=3, most=2)] == ["k-4", "k-5"]
    assert lot.parked_of("k", skip=23) == []
    assert lot.parked_of("nobody") == []


# the head of a lot


def parked_head(reasons: list[tuple[str, str]]) -> Head:
    head = None
    for n, (reason, source) in enumerate(reasons):
        change = delivered(event(n)._replace(source=source))
        head = with_parked(head, parking_of(change, Refusal(Poison(reason), "contract")), 1_000 + n)
    assert head is not None
    return head


def test_of_very_many_names_some_are_counted_and_the_others_are_looked_for() -> None:
    head = parked_head([(f"reason-{n}", f"source-{n}") for n in range(200)])
    assert (head.rows, len(head.reasons), len(head.sources), head.whole) == (200, 50, 50, False)
    assert head.fits(Selection(reason="reason-0")) is None
    assert head.fits(Selection(reason="reason-199")) is None
    assert head.fits(Selection()) is True
    gone = [{"reason": {"S": f"reason-{n}"}, "source": {"S": f"source-{n}"}} for n in range(20, 199)]
    left = head.without(gone)
    assert left is not None
    assert (left.rows, len(left.reasons), left.whole) == (21, 20, False)
    assert left.without([*gone[:21]]) is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["behind", "contract", "no-gate"]), st.sampled_from(["", "=", "flights"])), min_size=1
    )
)
def test_a_head_is_as_it_was_after_it_was_an_item(names: list[tuple[str, str]]) -> None:
    head = parked_head(names)
    for item in head.items():
        assert head_of(item) == head
    assert head.rows == sum(head.reasons.values()) == sum(head.sources.values())
    assert head.parked_key() == ParkedKey(
        "k",
        len(names),
        min([reason for reason, _ in names if reason != "behind"], default="behind"),
        min(source for _, source in names),
        "posting",
        1_000,
    )
