"""What every adapter of `HandOvers` does."""

from dataclasses import replace

import pytest

from isthmus.checkpoint.ports import HandOver
from isthmus.errors import OwnershipLost
from tests.contract.checkpoint_contract import STREAM, STREAM_MADE_ANEW, Checkpoints


class HandOversContract:
    def test_nothing_recorded_is_none(self, checkpoints: Checkpoints) -> None:
        assert checkpoints.hand_overs.read() is None

    def test_it_is_written_once(self, checkpoints: Checkpoints) -> None:
        first = HandOver("leases", STREAM)
        assert checkpoints.hand_overs.record(first) == first
        assert checkpoints.hand_overs.record(HandOver("others", STREAM_MADE_ANEW)) == first
        assert checkpoints.hand_overs.read() == first

    def test_it_is_completed_and_only_where_it_is_recorded(self, checkpoints: Checkpoints) -> None:
        with pytest.raises(OwnershipLost):
            checkpoints.hand_overs.complete()
        assert checkpoints.hand_overs.read() is None
        first = HandOver("leases", STREAM)
        checkpoints.hand_overs.record(first)
        for _ in range(2):
            checkpoints.hand_overs.complete()
            assert checkpoints.hand_overs.record(first) == replace(first, complete=True)
