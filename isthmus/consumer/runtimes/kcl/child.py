"""The child: answers the daemon's questions about one shard, and lets no record be skipped.

A status is a promise that the records before it are decided. So nothing that goes wrong is ever answered: every
exception leaves `run`, no status and no checkpoint follow it, and the daemon gives those records to another process.
"""

from collections.abc import Callable

from isthmus.attempts import AttemptsByPart
from isthmus.chance import Chance
from isthmus.clock import Clock
from isthmus.consumer.feed import Place, Record
from isthmus.consumer.runtimes.kcl.checkpointer import Checkpointer, LeaseGone
from isthmus.consumer.runtimes.kcl.port import Lines, ShardDecider
from isthmus.consumer.runtimes.kcl.protocol import (
    Callback,
    CheckpointAnswer,
    Initialize,
    ProcessRecords,
    decode,
    status,
)
from isthmus.consumer.runtimes.kcl.settings import ChildSettings
from isthmus.consumer.runtimes.kcl.states import Act, ChildState, act_on
from isthmus.consumer.runtimes.kcl.times import ArrivalTimes
from isthmus.errors import Fatal
from isthmus.lifecycle import Stop, Stopped
from isthmus.log import get_logger
from isthmus.metrics import Metrics

log = get_logger(__name__)


class Child:
    """Serves one shard from the first line to the last. `run` is called once, by the main thread.

    `make_processor(shard, begin)` makes what decides, where `begin` is the last record that is done with; it may raise
    `Transient`, and is then called again. It, and what it makes, may run anybody's code. `before_checkpoint` is called
    before each checkpoint is asked for, and raises nothing.
    """

    def __init__(
        self,
        lines: Lines,
        make_processor: Callable[[str, Place | None], ShardDecider],
        *,
        stop: Stop,
        clock: Clock,
        chance: Chance,
        metrics: Metrics,
        attempts: AttemptsByPart,
        settings: ChildSettings | None = None,
        before_checkpoint: Callable[[], object] = lambda: None,
    ) -> None:
        self.state = ChildState.NEW
        self.shard = ""
        """The shard's ID, once it is known."""
        self.answering = False
        """Whether a question of the daemon is open: work is in hand that nobody waits for when the daemon dies."""
        self._lines = lines
        self._make_processor = make_processor
        self._stop = stop
        self._clock = clock
        self._chance = chance
        self._metrics = metrics
        self._attempts = attempts
        self._settings = settings or ChildSettings()
        self._before_checkpoint = before_checkpoint
        self._times = ArrivalTimes()
        self._serving: tuple[ShardDecider, Checkpointer] | None = None
        self._skipping_since: float | None = None

    def run(self) -> ChildState:
        """Answer until the daemon closes the line; give the state in which that found us.

        Raises whatever went wrong, of any kind: then the question in hand is not answered, and must not be.
        """
        try:
            while (line := self._lines.read_line()) is not None:
                self._answer(line)
        finally:
            self._forget()
        return self.state

    def _answer(self, line: bytes) -> None:
        self.answering = True
        question = decode(line)
        if isinstance(question, CheckpointAnswer):
            raise Fatal("The daemon answered a checkpoint that nobody asked for.")
        self._act(question)
        # Before the status: having read it, the daemon may close the line, and that is no death then.
        self.answering = False
        self._lines.write_line(status(question.action))

    def _act(self, question: Callback) -> None:
        match act_on(self.state, question), question:
            case Act.BEGIN, Initialize():
                self._begin(question)
            case Act.DECIDE, ProcessRecords():
                self._decide(question)
            case Act.SKIP, ProcessRecords():
                self._skip(question.records)
            case Act.SAVE, _:
                self.state = ChildState.STOPPING
                self._save()
            case Act.END, _:
                self._end()
            case Act.GIVE_UP, _:
                self._give_up()
            case Act.IGNORE, _:
                pass
            case _:
                raise Fatal(f"The daemon asked for {question.action} of a shard that is {self.state}.")

    def _begin(self, question: Initialize) -> None:
        self.shard, begin = question.shard, question.begin
        try:
            processor = self._attempts.watch("front_office", self.shard).until_done(
                lambda: self._make_processor(self.shard, begin),
                stop=self._stop,
                chance=self._chance,
                backoff=self._settings.backoff,
            )
        except Stopped:
            self._stopped()
            return
        checkpointer = Checkpointer(
            self.shard,
            begin,
            self._lines,
            clock=self._clock,
            metrics=self._metrics,
            watch=self._attempts.watch("checkpoint", self.shard),
            settings=self._settings,
            before=self._before_checkpoint,
        )
        self._serving = processor, checkpointer
        for gauge in (self._metrics.behind, self._metrics.buffered):
            gauge.labels(self.shard)
        self.state = ChildState.READING
        log.info("shard_started", shard=self.shard, after=begin.sequence if begin else None)

    def _decide(self, question: ProcessRecords) -> None:
        if question.behind_ms is not None:
            self._metrics.behind.labels(self.shard).set(question.behind_ms / 1000)
        self._times.asked(self._clock.now_ms())
        if question.records:
            self._process(question.records)
        self._tell_time(question)
        self._save(now=self._stop.requested())

    def _tell_time(self, question: ProcessRecords) -> None:
        """Tell up to which moment everything that arrived in the shard is decided."""
        processor, _ = self._parts()
        if question.records and processor.place() != question.records[-1].place:
            return
        until_ms = self._times.decided(question)
        if until_ms is not None:
            self._metrics.decided_until.labels(self.shard).set(until_ms / 1000)

    def _process(self, records: list[Record]) -> None:
        processor, _ = self._parts()
        if self._stop.requested():
            self._stopped()
            self._skip(records)
            return
        buffered = self._metrics.buffered.labels(self.shard)
        buffered.set(len(records))
        try:
            processor.process(records)
        except Stopped:
            self._stopped()
        finally:
            buffered.set(0)
        if processor.place() != records[-1].place:
            if self.state is ChildState.READING:
                raise Fatal("Not everything of a batch is decided, and nobody asked to stop.")
            self._skip(records)

    def _stopped(self) -> None:
        """Decide nothing more. Raises `Fatal` when nobody asked for that: the shard would stand still for ever."""
        if not self._stop.requested():
            raise Fatal("Something of this process stopped a shard, and nobody asked to stop.")
        self.state = ChildState.STOPPING

    def _skip(self, records: list[Record]) -> None:
        """Leave records undecided; from the first such on, `_end` refuses, and no place beyond is ever saved."""
        if not records:
            return
        now = self._clock.monotonic()
        if self._skipping_since is None:
            self._skipping_since = now
        if now - self._skipping_since > self._settings.stop_patience:
            raise Fatal("The daemon goes on giving records to a shard that has stopped.")

    def _save(self, *, now: bool = True) -> None:
        if self._serving is None:
            return
        processor, checkpointer = self._serving
        try:
            if now:
                checkpointer.save(processor.place())
            else:
                checkpointer.save_when_due(processor.place())
        except LeaseGone:
            self._give_up()

    def _end(self) -> None:
        _, checkpointer = self._parts()
        if self._skipping_since is not None:
            # Children would start over records that nobody decided: no restart could bring them back.
            raise Fatal(f"The end of {self.shard} was reached, but not everything before it is decided.")
        try:
            checkpointer.save_end(self._stop, self._chance)
        except LeaseGone:
            self._give_up()
            return
        self.state = ChildState.ENDED
        log.info("shard_ended", shard=self.shard)

    def _give_up(self) -> None:
        self.state = ChildState.LOST
        log.info("shard_given_up", shard=self.shard)

    def _parts(self) -> tuple[ShardDecider, Checkpointer]:
        if self._serving is None:
            raise Fatal("The daemon speaks of a shard that was never begun.")
        return self._serving

    def _forget(self) -> None:
        """Take the shard's series out of the metrics: another process speaks for it from now on."""
        if self._serving is not None:
            for gauge in (self._metrics.behind, self._metrics.buffered, self._metrics.checkpoint_time):
                gauge.remove(self.shard)
            if self._times.until_ms is not None:
                self._metrics.decided_until.remove(self.shard)
