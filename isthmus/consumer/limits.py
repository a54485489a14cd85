"""Errors that may come only so often at one change: which one it is, how often it came, and then it is poison.

`Transient` has no limit of its own; a user's rule, or a handler that hangs, may set one. The count outlives the process
in `Tries`: a process that is started again and again would else begin at one each time, and never come to an end.
"""

from collections.abc import Sequence
from contextlib import suppress

from isthmus.change import Outcome
from isthmus.checkpoint.tries import Tries
from isthmus.consumer.stores.port import Decider, Delivered, Refusal
from isthmus.errors import Poison, Transient

STAGE = "handler"


class Suspects:
    """The changes at which such an error came, and how often. Several threads may use it, for other changes each."""

    def __init__(self, tries: Tries) -> None:
        self._tries = tries
        self._counts: dict[str, int] = {}
        """How often each of them failed here: it counts while `Tries` is away."""

    def __contains__(self, txn: object) -> bool:
        """Say whether a change failed here, and is not settled yet."""
        return txn in self._counts

    def __len__(self) -> int:
        """Give how many there are."""
        return len(self._counts)

    def failed(self, txn: str, error: Transient) -> Refusal:
        """Count that the error came at this change. If that was the last time, give its refusal; else raise it."""
        count = self._counted(txn)
        if error.attempts is None or count < error.attempts:
            raise error
        poison = Poison(error.cause, f"{error.message} That was the last of {error.attempts} attempts.")
        return Refusal(poison, STAGE)

    def settle(self, txn: str) -> None:
        """Forget a change, if it is one of them: it is decided."""
        if self._counts.pop(txn, None) is not None:
            # What stays counted there is in nobody's way: this change does not come again but as a duplicate.
            with suppress(Transient):
                self._tries.settled(txn)

    def _counted(self, txn: str) -> int:
        here = self._counts[txn] = self._counts.get(txn, 0) + 1
        try:
            return max(here, self._tries.failed(txn))
        except Transient:
            return here


class Limiting:
    """A `Decider` that knows of each error with a limit whose it is, by deciding ever smaller parts of its batch."""

    def __init__(self, decider: Decider, tries: Tries) -> None:
        self._decider = decider
        self._suspects = Suspects(tries)

    def apply(self, batch: Sequence[Delivered]) -> list[Outcome | None]:
        """Decide every change of the batch; see `Decider`."""
        if len(self._suspects):
            return self._around_suspects(batch)
        try:
            return self._decider.apply(batch)
        except Transient as error:
            if error.attempts is None or not batch:
                raise
            return self._failed(batch, error)

    def probe(self) -> None:
        """Ask the store for something harmless."""
        self._decider.probe()

    def close(self) -> None:
        """Give connections back."""
        self._decider.close()

    def _failed(self, batch: Sequence[Delivered], error: Transient) -> list[Outcome | None]:
        if len(batch) > 1:
            # In their order: what is before the one that fails is durable then, and found as a duplicate next time.
            middle = len(batch) // 2
            return self.apply(batch[:middle]) + self.apply(batch[middle:])
        # Where the store says nothing, a handler that waits for it is not at fault.
        self._decider.probe()
        txn = batch[0].change.id
        outcomes = self._decider.apply([batch[0]._replace(refused=self._suspects.failed(txn, error))])
        self._suspects.settle(txn)
        return outcomes

    def _around_suspects(self, batch: Sequence[Delivered]) -> list[Outcome | None]:
        """Decide what failed before by itself, so that looking for it does not begin anew with every attempt."""
        outcomes: list[Outcome | None] = []
        part: list[Delivered] = []
        for delivered in batch:
            if delivered.change.id not in self._suspects:
                part.append(delivered)
                continue
            outcomes += self._plainly(part) + self._plainly([delivered])
            part = []
            self._suspects.settle(delivered.change.id)
        return outcomes + self._plainly(part)

    def _plainly(self, part: Sequence[Delivered]) -> list[Outcome | None]:
        if not part:
            return []
        try:
            return self._decider.apply(part)
        except Transient as error:
            if error.attempts is None:
                raise
            return self._failed(part, error)
