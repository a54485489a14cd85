"""Lines of several writers in one log."""

import io
from typing import Any

from isthmus.console.kcl.lines import write_whole_lines


class Writes(io.RawIOBase):
    """Notes each write."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.written.append(bytes(data))
        return len(self.written[-1])


def test_a_line_goes_out_with_its_end_in_one_write_whatever_the_interpreter_was_told() -> None:
    raw: Any = Writes()
    # As Python makes stderr where PYTHONUNBUFFERED is set.
    with io.TextIOWrapper(raw, "utf-8", write_through=True) as stream:
        print("torn", file=stream, flush=True)
        assert raw.written == [b"torn", b"\n"]
        raw.written.clear()
        write_whole_lines(stream)
        print("whole", file=stream, flush=True)
        assert raw.written == [b"whole\n"]


def test_a_stream_that_is_no_files_stays_as_it_is() -> None:
    stream = io.StringIO()
    write_whole_lines(stream)
    print("whole", file=stream)
    assert stream.getvalue() == "whole\n"
