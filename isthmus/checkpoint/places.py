"""The order of shard checkpoints, as text that every store can compare. Pure."""

from typing import Final

from isthmus.checkpoint.ports import ShardCheckpoint

_DIGITS: Final = 129
"""The longest sequence number: `0|([1-9]\\d{0,128})` (Kinesis API reference, SequenceNumber)."""
_NOTHING_DONE: Final = "0"
_UP_TO: Final = "1"
_ENDED: Final = "2"


def place_of(checkpoint: ShardCheckpoint) -> str:
    """Give text that sorts as checkpoints do: nothing done, then by sequence number as an integer, then ended.

    Raises ValueError for a sequence number that is not 1 to 129 ASCII digits, leading zeros not counted.
    """
    number = None if checkpoint.sequence is None else _number(checkpoint.sequence)
    if checkpoint.ended:
        return _ENDED
    return _NOTHING_DONE if number is None else _UP_TO + number


def _number(sequence: str) -> str:
    digits = sequence.lstrip("0")
    if not (sequence.isascii() and sequence.isdigit() and len(digits) <= _DIGITS):
        raise ValueError(f"{sequence[:_DIGITS]!r} is no sequence number")
    return digits.zfill(_DIGITS)
