"""An edit changes what a change says, never which change it is."""

from collections.abc import Sequence
from typing import Any

import pytest

from isthmus.change import Change, Kind, Verb
from isthmus.codec import encode
from isthmus.console.lot.editing import Editing
from isthmus.console.lot.remaking import Remaking
from isthmus.consumer.stores.port import Entity
from isthmus.errors import Poison, Refused
from tests.fakes.parked_desk import ROW, STATE, Table, untranslated, waiting

FIXED = {"/shop/items": ("ID", "SEQ")}
KNOWN = {"ID": 7, "SEQ": 42, "NOTE": "wrong", "PRICE": ROW["PRICE"]}
RAW = untranslated(row=KNOWN)


def contract(data: Any) -> None:
    if data != {"name": "right"}:
        raise Poison("contract", "wrong name")


ENTITIES = {"item": Entity("item", Kind.STATE, None, contract), "post": Entity("post", Kind.EVENT, None, contract)}
GOOD = STATE._replace(data={"name": "right"})


def checked(editing: Editing, new: Change, *made: Change) -> Sequence[Change]:
    return editing.checked(new, Remaking(Table(*made), lambda: None), ENTITIES).becomes


def refusal(action: Any) -> str:
    with pytest.raises(Refused) as caught:
        action()
    return str(caught.value)


def test_data_is_replaced_and_nothing_else() -> None:
    editing = Editing(waiting(), FIXED)
    assert editing.content == {"name": "seven"}
    assert checked(editing, editing.with_content({"name": "right"})) == [GOOD]


def test_data_may_stand_in_the_place_of_a_payload_that_is_lost() -> None:
    lost = STATE._replace(data=None, dataref="s3://bucket/payload/1")
    editing = Editing(waiting(lost), FIXED)
    (made,) = checked(editing, editing.with_content({"name": "right"}))
    assert made._replace(extensions=None) == GOOD


def test_a_row_is_replaced_and_its_values_keep_their_types_where_they_are_text() -> None:
    editing = Editing(waiting(RAW), FIXED)
    assert editing.content == {"ID": 7, "SEQ": 42, "NOTE": "wrong", "PRICE": "1.10"}
    new = editing.with_content(editing.content | {"NOTE": "right", "PRICE": "2.20", "MORE": 1})
    assert new.data["types"] == {"PRICE": "decimal"}
    assert (new.data["reason"], new._replace(data=None)) == ("no-airport", RAW._replace(data=None))
    assert editing.with_content(editing.content | {"PRICE": None}).data["types"] == {}
    assert checked(editing, new, GOOD) == [GOOD]


def test_a_row_that_is_filtered_after_the_edit_is_none_the_worse() -> None:
    editing = Editing(waiting(RAW), FIXED)
    assert checked(editing, editing.with_content(editing.content | {"NOTE": "right"})) == []


@pytest.mark.parametrize("column", ["ID", "SEQ"])
def test_key_columns_and_cursor_stay(column: str) -> None:
    editing = Editing(waiting(RAW), FIXED)
    assert f"The column {column} says which row" in refusal(lambda: editing.with_content(KNOWN | {column: 8}))
    assert "says which row" in refusal(lambda: editing.with_content({"NOTE": "right"}))
    truth = Editing(waiting(untranslated(row=KNOWN | {column: 1})), FIXED)
    assert "says which row" in refusal(lambda: truth.with_content(truth.content | {column: True}))


def test_where_no_key_is_known_its_columns_may_be_mended_but_no_data_put_under_it() -> None:
    editing = Editing(waiting(RAW._replace(key="~raw/items/[7]")), FIXED)
    assert editing.with_content(KNOWN | {"ID": 8}).data["row"]["ID"] == 8
    assert "Its key is not known" in refusal(lambda: editing.as_final(Verb.UPSERT, {"name": "right"}))


def test_final_data_or_a_delete_may_stand_in_the_place_of_a_row() -> None:
    editing = Editing(waiting(RAW), FIXED)
    assert checked(editing, editing.as_final(Verb.UPSERT, {"name": "right"})) == [GOOD]
    (deleted,) = checked(editing, editing.as_final(Verb.DELETE, {"name": "right"}))
    assert (deleted.verb, deleted.data, deleted.id, deleted.version) == (Verb.DELETE, None, STATE.id, STATE.version)
    wrong = editing.as_final(Verb.EVENT, {"name": "right"})
    assert "poison again: wrong-verb" in refusal(lambda: checked(editing, wrong))


def test_a_row_that_was_not_kept_may_only_be_replaced_by_final_data() -> None:
    editing = Editing(waiting(RAW._replace(data={"reason": "too-large", "message": ""})), FIXED)
    assert "Its row was not kept" in refusal(lambda: editing.content)
    assert "Its row was not kept" in refusal(lambda: editing.with_content({}))
    assert checked(editing, editing.as_final(Verb.UPSERT, {"name": "right"})) == [GOOD]


@pytest.mark.parametrize(
    "other, said",
    [
        ({"key": "item/8"}, "another key"),
        ({"version": "0" * 38}, "another version"),
        ({"id": "txn-2"}, "another transaction ID"),
        ({"source": "/shop/others"}, "another source"),
        ({"entity": "post"}, "another entity"),
        ({"verb": Verb.DELETE}, "Nothing of an event may be edited"),
        ({"epoch": 6}, "Nothing of an event may be edited"),
        ({"rowhash": "another"}, "Nothing of an event may be edited"),
        ({"dataref": "s3://bucket/payload/1"}, "Nothing of an event may be edited"),
        ({"extensions": {"ours": 1}}, "Nothing of an event may be edited"),
        ({"data": {"name": "right"}}, ""),
    ],
)
def test_of_a_whole_event_nothing_but_its_data_may_differ(other: dict[str, Any], said: str) -> None:
    editing = Editing(waiting(), FIXED)
    event = encode(STATE._replace(**other))
    if said:
        assert said in refusal(lambda: editing.from_event(event))
    else:
        assert editing.from_event(event) == GOOD


def test_of_a_whole_untranslated_event_nothing_but_its_row_may_differ() -> None:
    editing = Editing(waiting(RAW), FIXED)

    def event(**other: Any) -> bytes:
        return encode(RAW._replace(data=RAW.data | other))

    new = editing.from_event(event(row=RAW.data["row"] | {"NOTE": "right"}))
    assert new == editing.with_content(editing.content | {"NOTE": "right"})
    for other in ({"types": {}}, {"reason": "another"}, {"more": 1}):
        assert "Nothing of an event may be edited" in refusal(lambda other=other: editing.from_event(event(**other)))
    assert "says which row" in refusal(lambda: editing.from_event(event(row=RAW.data["row"] | {"ID": 8})))
    assert "A row is a JSON object" in refusal(lambda: editing.from_event(event(row=None)))


@pytest.mark.parametrize("event", [b"{", b"[]", b'{"id": "txn-1"}'])
def test_what_is_no_event_is_refused(event: bytes) -> None:
    assert "no CloudEvent of one change" in refusal(lambda: Editing(waiting(), FIXED).from_event(event))


def test_what_would_be_poison_again_is_refused_before_it_is_stored() -> None:
    editing = Editing(waiting(), FIXED)
    assert "poison again: contract: wrong name" in refusal(lambda: checked(editing, editing.with_content({"name": 1})))
    row = Editing(waiting(RAW), FIXED)
    new = row.with_content(row.content | {"NOTE": "still wrong"})
    assert "poison again: no-airport" in refusal(lambda: checked(row, new, untranslated()))
    assert "poison again: contract" in refusal(lambda: checked(row, new, STATE))
    assert "poison again: unknown-entity" in refusal(lambda: checked(row, new, GOOD._replace(entity="gone")))


def test_an_edit_that_changes_nothing_is_refused() -> None:
    editing = Editing(waiting(), FIXED)
    assert "Nothing differs" in refusal(lambda: checked(editing, editing.with_content({"name": "seven"})))


def test_data_that_no_wire_holds_is_refused() -> None:
    editing = Editing(waiting(), FIXED)
    assert "cannot be kept" in refusal(lambda: checked(editing, editing.with_content({"name": float("nan")})))


def test_there_is_nothing_to_edit_in_a_delete_in_bytes_or_in_what_is_translated() -> None:
    gone = Editing(waiting(STATE._replace(verb=Verb.DELETE, data=None)), FIXED)
    assert "A delete has no data" in refusal(lambda: gone.with_content({}))
    assert "translated already" in refusal(lambda: Editing(waiting(), FIXED).as_final(Verb.DELETE, None))
    for held in (waiting(decodable=False), waiting(event=b"{")):
        assert "could not be decoded" in refusal(lambda held=held: Editing(held, FIXED))
