"""What every source whose order is `commit` must do. An adapter's test module subclasses `SourceContract`."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import pytest

from isthmus.errors import Refused
from isthmus.producer.sources.port import Source, SourceRow


class BackOffice(Protocol):
    """A back office under test: rows with a key, a value, and a cursor that grows with every write."""

    def put(self, key: str, value: Any, *, cursor: int | None = None) -> int:
        """Insert or update a row, by default at the next cursor, and give its cursor."""
        ...

    def delete(self, key: str) -> None:
        """Remove a row."""
        ...

    def source(self, start: Literal["beginning", "now"] | int = "beginning") -> Source:
        """Open a source on it. The back office closes it."""
        ...

    def key_of(self, values: Mapping[str, Any]) -> str:
        """Give the key out of a row's values."""
        ...

    def value_of(self, values: Mapping[str, Any]) -> Any:
        """Give the value out of a row's values."""
        ...


def read_all(source: Source, after: str | None, limit: int) -> list[SourceRow]:
    """Read page by page until one is not full."""
    rows: list[SourceRow] = []
    for _ in range(200):
        page = source.read(after, limit)
        assert len(page.rows) <= limit
        rows += page.rows
        if page.rows:
            after = page.rows[-1].watermark
        if not page.more:
            return rows
    raise AssertionError("reading never comes to an end")


class SourceContract:
    """Needs a fixture `office`."""

    def test_rows_come_in_the_order_of_their_cursor_with_all_their_values(self, office: BackOffice) -> None:
        for key in ("b", "a", "c"):
            office.put(key, f"value of {key}")
        office.put("b", "newer")
        rows = read_all(office.source(), None, 10)
        assert [office.key_of(row.values) for row in rows] == ["a", "c", "b"]
        assert [office.value_of(row.values) for row in rows] == ["value of a", "value of c", "newer"]
        assert [row.position for row in rows] == [2, 3, 4]

    def test_an_empty_source_has_no_rows_and_no_bound(self, office: BackOffice) -> None:
        page = office.source().read(None, 10)
        assert (page.rows, page.bound, page.more) == ([], None, False)

    def test_the_bound_is_the_highest_cursor_also_behind_a_full_page_and_after_the_last_row(
        self, office: BackOffice
    ) -> None:
        for key in "abc":
            office.put(key, 1)
        source = office.source()
        page = source.read(None, 2)
        assert (page.bound, page.more) == (3, True)
        page = source.read(page.rows[-1].watermark, 2)
        assert (page.bound, page.more) == (3, False)
        page = source.read(page.rows[-1].watermark, 2)
        assert (page.rows, page.bound, page.more) == ([], 3, False)

    @pytest.mark.parametrize("limit", range(1, 9))
    def test_many_rows_of_one_cursor_are_read_once_each_over_every_page_edge(
        self, office: BackOffice, limit: int
    ) -> None:
        keys = [f"{number}" for number in range(7)]
        office.put("before", 0, cursor=4)
        for key in reversed(keys):
            office.put(key, key, cursor=5)
        office.put("behind", 0, cursor=6)
        rows = read_all(office.source(), None, limit)
        assert [office.key_of(row.values) for row in rows] == ["before", *keys, "behind"]

    def test_reading_goes_on_after_any_watermark_in_another_life(self, office: BackOffice) -> None:
        for number in range(6):
            office.put(f"{number}", number, cursor=10 + number // 3)
        rows = read_all(office.source(), None, 100)
        for place, row in enumerate(rows):
            later = read_all(office.source(), row.watermark, 2)
            assert later == rows[place + 1 :]

    def test_a_row_that_is_updated_while_paging_moves_to_the_end_and_no_other_is_lost(self, office: BackOffice) -> None:
        for key in "abcdef":
            office.put(key, 1)
        source = office.source()
        first = source.read(None, 2)
        office.put("a", 2)
        office.put("d", 2)
        rest = read_all(source, first.rows[-1].watermark, 2)
        assert [office.key_of(row.values) for row in first.rows + rest] == ["a", "b", "c", "e", "f", "a", "d"]
        assert [office.value_of(row.values) for row in rest] == [1, 1, 1, 2, 2]

    def test_a_row_that_is_deleted_while_paging_takes_no_other_with_it(self, office: BackOffice) -> None:
        for key in "abcdef":
            office.put(key, 1)
        source = office.source()
        first = source.read(None, 2)
        for key in "abd":
            office.delete(key)
        rest = read_all(source, first.rows[-1].watermark, 2)
        assert [office.key_of(row.values) for row in rest] == ["c", "e", "f"]

    def test_a_source_whose_last_rows_were_deleted_has_the_bound_of_what_is_left(self, office: BackOffice) -> None:
        office.put("a", 1)
        office.put("b", 1)
        source = office.source()
        watermark = source.read(None, 10).rows[-1].watermark
        office.delete("b")
        assert source.read(watermark, 10).bound == 1
        office.delete("a")
        assert source.read(watermark, 10).bound is None

    def test_starting_now_shows_only_what_is_written_later(self, office: BackOffice) -> None:
        office.put("a", 1)
        office.put("b", 1, cursor=1)
        source = office.source("now")
        after = source.start()
        assert read_all(source, after, 10) == []
        office.put("a", 2)
        assert [office.value_of(row.values) for row in read_all(source, after, 10)] == [2]

    def test_starting_now_at_an_empty_source_shows_all_that_is_written_later(self, office: BackOffice) -> None:
        source = office.source("now")
        after = source.start()
        office.put("a", 1, cursor=0)
        assert len(read_all(source, after, 10)) == 1

    def test_starting_after_a_cursor_leaves_out_all_rows_up_to_it(self, office: BackOffice) -> None:
        for number in range(5):
            office.put(f"{number}", number, cursor=number // 2)
        source = office.source(1)
        assert [row.position for row in read_all(source, source.start(), 1)] == [2]

    def test_starting_at_the_beginning_needs_no_watermark(self, office: BackOffice) -> None:
        assert office.source().start() is None

    def test_rows_are_counted_after_any_watermark_up_to_any_cursor(self, office: BackOffice) -> None:
        for number in range(6):
            office.put(f"{number}", number, cursor=10 + number // 3)
        office.put("last", 0, cursor=20)
        source = office.source()
        rows = read_all(source, None, 100)
        for bound in (9, 10, 11, 19, 20, 21):
            wanted = [row for row in rows if row.position <= bound]
            assert source.count(None, bound) == len(wanted)
            for place, row in enumerate(rows):
                assert source.count(row.watermark, bound) == max(0, len(wanted) - place - 1)

    def test_rows_are_counted_after_a_start_too(self, office: BackOffice) -> None:
        for number in range(3):
            office.put(f"{number}", number)
        assert office.source().count(office.source("now").start(), 3) == 0
        assert office.source().count(office.source(1).start(), 3) == 2

    def test_an_empty_source_has_no_rows_to_count(self, office: BackOffice) -> None:
        assert office.source().count(None, 100) == 0

    def test_a_watermark_tells_its_position(self, office: BackOffice) -> None:
        office.put("a", 1, cursor=10**18)
        source = office.source()
        (row,) = read_all(source, None, 10)
        assert source.position(row.watermark) == row.position == 10**18

    def test_a_text_that_is_no_watermark_is_refused(self, office: BackOffice) -> None:
        office.put("a", 1)
        for text in (
            "",
            "nonsense",
            "7",
            "[]",
            '["x"]',
            "[true]",
            "[1,2,3,4,5,6]",
            '[1,{"odd":"x"}]',
            '[1,{"a":1,"b":2}]',
        ):
            for use in (
                lambda source, text=text: source.read(text, 10),
                lambda source, text=text: source.count(text, 10),
                lambda source, text=text: source.position(text),
            ):
                with pytest.raises(Refused):
                    use(office.source())

    def test_the_source_key_names_the_row(self, office: BackOffice) -> None:
        office.put("ä'\"", 1)
        (row,) = read_all(office.source(), None, 10)
        first = row.sourcekey
        office.put("ä'\"", 2)
        office.put("other", 2)
        same, other = read_all(office.source(), None, 10)
        assert same.sourcekey == first
        assert other.sourcekey != first

    def test_without_a_query_budget_it_may_be_read_at_once(self, office: BackOffice) -> None:
        source = office.source()
        source.read(None, 1)
        assert source.ready_in() == 0.0

    def test_closing_twice_is_harmless(self, office: BackOffice) -> None:
        source = office.source()
        source.read(None, 1)
        source.close()
        source.close()
