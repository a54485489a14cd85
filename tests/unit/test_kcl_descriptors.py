"""The line to the daemon, when somebody in the process has closed its descriptors."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.consumer.runtimes.kcl.descriptors import DescriptorLines
from isthmus.errors import Fatal


@pytest.fixture
def pipes() -> Iterator[list[int]]:
    """Give the child's ends of its two pipes, to read from and to write to, and the daemon's ends of both."""
    (reading, theirs), (heard, writing) = os.pipe(), os.pipe()
    yield [reading, writing, theirs, heard]
    for descriptor in (theirs, heard):
        os.close(descriptor)


def test_lines_go_both_ways_whole(pipes: list[int]) -> None:
    reading, writing, theirs, heard = pipes
    lines = DescriptorLines(reading, writing)
    os.write(theirs, b"asked\nhalf")
    assert lines.read_line() == b"asked\n"
    lines.write_line(b"answered")
    assert os.read(heard, 100) == b"\nanswered\n"
    lines.close()


@pytest.mark.parametrize("taken", [0, 1], ids=["reading", "writing"])
def test_a_number_that_is_somebody_elses_by_now_is_neither_read_nor_written(
    pipes: list[int], tmp_path: Path, taken: int
) -> None:
    lines = DescriptorLines(pipes[0], pipes[1])
    file = tmp_path / "theirs"
    file.write_bytes(b"secret\n")
    another = os.open(file, os.O_RDWR | os.O_APPEND)
    os.dup2(another, pipes[taken])
    os.close(another)
    with pytest.raises(Fatal, match="closed the line"):
        lines.write_line(b"answered")
    with pytest.raises(Fatal, match="closed the line"):
        lines.read_line()
    assert file.read_bytes() == b"secret\n"
    lines.close()


def test_a_descriptor_that_is_closed_is_noticed(pipes: list[int]) -> None:
    lines = DescriptorLines(pipes[0], pipes[1])
    os.close(pipes[1])
    with pytest.raises(Fatal, match="closed the line"):
        lines.write_line(b"answered")
    lines.close()
