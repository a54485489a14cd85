"""A child's checkpoints: at a place that the daemon gave, of which everything is decided; never the bare one."""

from collections.abc import Callable

from isthmus.attempts import Attempts
from isthmus.chance import Chance
from isthmus.clock import Clock
from isthmus.consumer.feed import Place
from isthmus.consumer.runtimes.kcl.port import Lines
from isthmus.consumer.runtimes.kcl.protocol import SHARD_END, CheckpointAnswer, checkpoint, decode
from isthmus.consumer.runtimes.kcl.settings import ChildSettings
from isthmus.errors import Fatal, IsthmusError, Transient
from isthmus.lifecycle import Stop
from isthmus.metrics import Metrics

_PASSING = {
    "ThrottlingException": "throttled",
    "KinesisClientLibDependencyException": "dependency",
}
"""Exceptions of the library that another attempt may mend, with the cause that metrics tell."""
_LEASE_GONE = "ShutdownException"


class LeaseGone(IsthmusError):  # noqa: N818 - an answer of the library
    """The library says that the shard's lease is another worker's. Known here only: nobody else can raise it."""


class Checkpointer:
    """Asks the daemon for the checkpoints of one shard.

    Only while a question of the daemon is open: at any other time the line that is read as an answer would be the next
    question. Every method raises `LeaseGone`, and `Fatal` for any other refusal that no repeat mends, or when the
    daemon answers with something else, or no more. `before` is called before each question: what is told there is told
    of everything that the checkpoint passes.
    """

    def __init__(
        self,
        shard: str,
        begin: Place | None,
        lines: Lines,
        *,
        clock: Clock,
        metrics: Metrics,
        watch: Attempts,
        settings: ChildSettings,
        before: Callable[[], object] = lambda: None,
    ) -> None:
        self._lines = lines
        self._before = before
        self._clock = clock
        self._saved_at = metrics.checkpoint_time.labels(shard)
        self._watch = watch
        self._settings = settings
        self._saved = begin
        self._due = clock.monotonic() + settings.checkpoint_interval

    def save_when_due(self, place: Place | None) -> None:
        """Save the place if the time has come."""
        if self._clock.monotonic() >= self._due:
            self.save(place)

    def save(self, place: Place | None) -> None:
        """Save the place, if it is beyond what is saved. A failure that may pass is left to the next occasion."""
        # The daemon may give records again: the library refuses to go back, and there is nothing to gain by it.
        if place is None or (self._saved is not None and place.order <= self._saved.order):
            return
        try:
            self._ask(place)
        except Transient as error:
            self._watch.failed(error)
        else:
            self._watch.recovered()
            self._saved = place
        self._due = self._clock.monotonic() + self._settings.checkpoint_interval

    def save_end(self, stop: Stop, chance: Chance) -> None:
        """Save that the shard is done with, for as long as it takes: there is no later occasion.

        Raises `Stopped` when a stop is requested between two attempts.
        """
        self._watch.until_done(lambda: self._ask(SHARD_END), stop=stop, chance=chance, backoff=self._settings.backoff)

    def _ask(self, place: Place) -> None:
        self._before()
        self._lines.write_line(checkpoint(place))
        line = self._lines.read_line()
        if line is None:
            raise Fatal("The daemon closed the line instead of answering a checkpoint.")
        answer = decode(line)
        if not isinstance(answer, CheckpointAnswer):
            raise Fatal(f"The daemon answered a checkpoint with {type(answer).__name__}.")
        if answer.error is None:
            self._saved_at.set(self._clock.now_ms() / 1000)
        elif answer.error in _PASSING:
            raise Transient(f"A checkpoint failed: {answer.error}.", cause=_PASSING[answer.error])
        elif answer.error == _LEASE_GONE:
            raise LeaseGone("The lease of the shard is gone.")
        else:
            raise Fatal(f"The library refused a checkpoint: {answer.error}.")
