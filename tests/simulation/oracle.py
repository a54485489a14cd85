"""The oracle: knows what the back office committed and what the stream took, and reads the front office itself.

It uses nothing of the product but the names of its tables. Each sentence that it says begins with the invariant.
"""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from isthmus.checkpoint.ports import Lease, ShardCheckpoint
from isthmus.producer.sink import Entry, Put
from isthmus.producer.sources.port import Page
from tests.simulation.office import MOVES, TABLES, THINGS, Version, content, expected_keys, expected_payload
from tests.simulation.reference import Event, Reference, events_of, spoken

if TYPE_CHECKING:
    from tests.simulation.world import World


class Oracle:
    """Watches one history. `violations` is empty as long as every promise was kept."""

    def __init__(self, world: "World", connection: sqlite3.Connection) -> None:
        self._world = world
        self._read = connection
        self.reference = Reference()
        self.violations: list[str] = []
        self._acknowledged: set[tuple[str, str]] = set()
        self._identities: dict[tuple[str, str], str] = {}
        self._shown: dict[tuple[str, int], set[int]] = defaultdict(set)
        self._begun: dict[tuple[str, int], int] = {}
        self._generations: dict[tuple[str, int], int] = {}
        """By source and epoch: the generation under which that owner took it."""
        self.watermarks: dict[str, int] = {}
        """The highest that was ever saved in the generation that stands, by table."""
        self._undecided: dict[str, list[tuple[int, list[Event]]]] = defaultdict(list)
        """By shard: what no checkpoint has passed yet."""

    def violated(self, sentence: str) -> None:
        """Note a broken promise."""
        self._world.note("oracle", f"!!! {sentence}")
        self.violations.append(sentence)

    # what happens

    def accepted(self, entry: Entry, put: Put) -> None:
        """See a record that the stream has just taken."""
        events = events_of(entry.data)
        named = ", ".join(event.short for event in events)
        self._world.note("stream", f"{put.shard[-2:]} lane {entry.lane} {self._world.short(put.sequence)}: {named}")
        for event in events:
            if event.verb != "marker":
                self._check_markers(event)
                self._check_generation(event)
                self._check_identity(event)
                self._check_payload(event)
        must = self.reference.decide(events)
        self._undecided[put.shard].append((int(put.sequence), must))

    def acknowledged(self, entries: Sequence[Entry], puts: Sequence[Put]) -> None:
        """See an answer that has reached its producer. What is fenced is as if it had never been sent."""
        for entry, put in zip(entries, puts, strict=True):
            if not put.error:
                self._acknowledged.update(
                    event.identity
                    for event in events_of(entry.data)
                    if (*event.identity, event.epoch) not in self.reference.fenced
                )

    def taken(self, before: Lease | None, after: Lease | None) -> None:
        """See a take-over that has just taken effect: it raises the epoch, and leaves the watermark where it is.

        A resync clears it, and raises the generation.
        """
        if after is not None:
            self._generations[after.name.rpartition("/")[2], after.epoch] = after.generation
        if before is not None and after is not None:
            if after.epoch <= before.epoch:
                self.violated(f"take-over: epoch {after.epoch} of {after.name} follows {before.epoch}")
            if after.generation > before.generation:
                self.watermarks.pop(after.name.rpartition("/")[2], None)
                if after.watermark is not None:
                    self.violated(f"resync: the new generation of {after.name} begins after {after.watermark}")
            elif after.generation < before.generation:
                self.violated(f"resync: generation {after.generation} of {after.name} follows {before.generation}")
            elif after.watermark != before.watermark:
                self.violated(
                    f"take-over: the watermark of {after.name} turned from {before.watermark} to {after.watermark}"
                )

    def source_read(self, table: str, epoch: int, after: str | None, page: Page) -> None:
        """See what a producer reads: its first page lies behind the watermark as it stands under its own epoch."""
        self._shown[table, epoch].update(row.position for row in page.rows)
        if (table, epoch) not in self._begun:
            self._begun[table, epoch] = int(after or 0)
            lease = self._lease(table)
            if lease.epoch == epoch and lease.watermark != after:
                self.violated(f"take-over: {table} is read after {after}, but its watermark is {lease.watermark}")

    def watermark_saved(self, name: str, before: Lease | None, epoch: int, after: Lease | None) -> None:
        """See what stands there after a watermark was written (I6)."""
        table = name.rpartition("/")[2]
        watermark = int((after.watermark if after else None) or 0)
        if before is None or before.epoch != epoch:
            self.violated(f"ownership: epoch {epoch} wrote the watermark of {table}, which is not its own")
        begin = int((before.watermark if before else None) or 0)
        if watermark < max(begin, self._begun.get((table, epoch), 0)):
            self.violated(f"ownership: the watermark of {table} fell from {begin} to {watermark}")
        self.watermarks[table] = max(watermark, self.watermarks.get(table, 0))
        for row in self._world.office.journal[table]:
            if not begin < row.position <= watermark:
                continue
            if row.position not in self._shown[table, epoch] and not self._world.office.is_shown(table, row):
                continue
            for key in expected_keys(table, row):
                if (key, version(row, after.generation if after else 0)) not in self._acknowledged:
                    self.violated(
                        f"I6: the watermark of {table} is {watermark}, but the stream has not acknowledged "
                        f"{key} version {row.position}"
                    )

    def checkpoint_saved(self, checkpoint: ShardCheckpoint) -> None:
        """See a checkpoint that is about to be saved (I5)."""
        left = self._undecided[checkpoint.shard]
        while left and (checkpoint.ended or left[0][0] <= int(checkpoint.sequence or 0)):
            sequence, events = left.pop(0)
            for event in events:
                if not self._is_decided(event):
                    self.violated(
                        f"I5: {checkpoint.shard} is checkpointed at {self._world.short(checkpoint.sequence)}"
                        f"{' (ended)' if checkpoint.ended else ''}, but {event} in "
                        f"{self._world.short(str(sequence))} is neither applied nor parked"
                    )
        if checkpoint.ended and not self._world.stream.is_closed(checkpoint.shard):
            self.violated(f"I5: {checkpoint.shard} is checkpointed as ended, but it is open")

    # what there is in the end

    def finish(self) -> None:
        """Compare the front office with the journal and the stream (I1 to I4)."""
        effects = self._read.execute("SELECT key, version, epoch, times FROM effect ORDER BY place").fetchall()
        parked = {
            (key, number): event
            for key, number, event in self._read.execute("SELECT key, version, event FROM isthmus_parked")
        }
        self._check_journal({(key, number) for key, number, _, _ in effects}, parked)
        for key, number, _, times in effects:
            if times > 1:
                self.violated(f"I2: {key} version {spoken(number)} took effect {times} times")
        for key, before, after in self._read.execute("SELECT key, before, after FROM fell"):
            self.violated(f"I3: {key} fell from {before} to {after}")
        self._check_order([(key, number) for key, number, _, _ in effects], parked)
        self._check_effects({(key, number): epoch for key, number, epoch, _ in effects})
        self._check_contents()
        self._check_parked(parked)
        self._check_states()
        if self._world.plan.sizes.history:
            self._check_history({(key, number) for key, number, _, _ in effects})

    def _check_journal(self, applied: set[tuple[str, str]], parked: dict[tuple[str, str], bytes]) -> None:
        for table in TABLES:
            # Every row that the source shows stands there under the last generation: a resync left none out.
            generation = self._lease(table).generation
            for row in self._world.office.journal[table]:
                superseded = not self._world.office.is_shown(table, row)
                for key in expected_keys(table, row):
                    place = (key, version(row, generation))
                    if place not in applied | self.reference.unchanged and place not in parked and not superseded:
                        number = "I4" if table == MOVES else "I1"
                        self.violated(
                            f"{number}: {key} version {row.position} of {table} in generation {generation} is lost"
                        )

    def _check_order(self, applied: list[tuple[str, str]], parked: dict[tuple[str, str], bytes]) -> None:
        last: dict[str, str] = {}
        for key, number in applied:
            if number < last.get(key, ""):
                self.violated(f"I4: {key} version {spoken(number)} took effect after version {spoken(last[key])}")
            last[key] = max(number, last.get(key, ""))
            if key.startswith("m"):
                for waiting in (other for name, other in parked if name == key and other < number):
                    self.violated(
                        f"I4: {key} version {spoken(number)} overtook version {spoken(waiting)}, which is parked"
                    )

    def _check_effects(self, applied: dict[tuple[str, str], int]) -> None:
        for (key, number), epoch in applied.items():
            must = self.reference.applied.get((key, number))
            if must is not None and must.epoch == epoch:
                continue
            fenced = (key, number, epoch) in self.reference.fenced
            self.violated(
                f"fence: {key} version {spoken(number)} of epoch {epoch} took effect behind the marker of a newer owner"
                if fenced
                else f"I1: {key} version {spoken(number)} of epoch {epoch} took effect, and must not have"
            )
        for place, event in self.reference.applied.items():
            if place not in applied:
                self.violated(f"I1: {event} is in the stream and valid, and did not take effect")

    def _check_contents(self) -> None:
        """Compare what took effect with what the stream, and so the journal, says (see `_check_payload`)."""
        for key, number, size, fate in self._read.execute("SELECT key, version, size, fate FROM effect"):
            must = self.reference.applied.get((key, number))
            if must is not None and (size, fate) != content(must.whole.get("data")):
                self.violated(f"payload: {must} took effect as {(size, fate)}, not as {must.whole.get('data')}")

    def _check_history(self, applied: set[tuple[str, str]]) -> None:
        told: Counter[tuple[str, str]] = Counter(
            self._read.execute("SELECT key, version FROM isthmus_history WHERE outcome = 'applied'").fetchall()
        )
        for key, number in sorted(applied | told.keys()):
            times = told[key, number]
            if times != int((key, number) in applied):
                self.violated(f"G6: the history tells {times} times that {key} version {spoken(number)} took effect")

    def _check_parked(self, parked: dict[tuple[str, str], bytes]) -> None:
        must = {event.identity: event for events in self.reference.parked.values() for event in events.values()}
        for place, event in must.items():
            if place not in parked:
                self.violated(f"I1: {event} must lie in the parking lot, and does not")
            elif (whole := json.loads(parked[place])) != event.whole:
                epoch = int(whole.get("epoch", "0"))
                self.violated(
                    f"fence: {event} is parked as epoch {epoch} sent it, behind the marker of a newer owner"
                    if epoch != event.epoch and (*place, epoch) in self.reference.fenced
                    else f"I1: {event} is parked without its full payload"
                )
        for key, number in parked.keys() - must.keys():
            self.violated(f"I9: {key} version {spoken(number)} is parked, and must not be")

    def _check_states(self) -> None:
        must = {key: (number, *content(data)) for key, (number, data) in self.reference.states.items()}
        there = {key: row for key, *row in self._read.execute("SELECT key, version, size, fate FROM thing")}
        there = {key: tuple(row) for key, row in there.items()}
        for key in sorted(must.keys() | there.keys()):
            if must.get(key) != there.get(key):
                self.violated(f"I3: {key} stands at {there.get(key)}, and must stand at {must.get(key)}")

    # how it knows

    def _check_markers(self, event: Event) -> None:
        if event.source in TABLES:
            for lane in range(self._world.plan.sizes.lanes):
                if self.reference.fences.get((event.source, f"lane-{lane:03d}"), 0) < event.epoch:
                    self.violated(f"markers: {event} is in the stream before lane {lane} has the marker of its epoch")
                    return

    def _check_generation(self, event: Event) -> None:
        if event.source in TABLES:
            taken = self._generations.get((event.source, event.epoch))
            if int(event.version[:8]) != taken:
                self.violated(
                    f"generation: {event} is not of generation {taken}, under which its owner took the source"
                )

    def _check_payload(self, event: Event) -> None:
        """See that a change says what the journal's row of its position does, and is one that this row makes."""
        if event.source not in TABLES:
            return
        position = int(event.version[8:])
        row = next((row for row in self._world.office.journal[event.source] if row.position == position), None)
        if row is None or event.key not in expected_keys(event.source, row):
            self.violated(f"payload: {event} comes of nothing that the back office committed: {row}")
            return
        data = event.whole.get("data")
        says = event.verb, data["row"] if event.verb == "untranslated" else data
        must = expected_payload(event.source, row)
        if says != must:
            self.violated(f"payload: {event} says {says}, and the back office committed {must}")

    def _check_identity(self, event: Event) -> None:
        if self._identities.setdefault(event.identity, event.txn) != event.txn:
            self.violated(f"identity: {event} came with two transaction IDs")

    def _is_decided(self, event: Event) -> bool:
        asks: tuple[tuple[str, tuple[Any, ...]], ...] = (
            ("SELECT 1 FROM effect WHERE key = ? AND version = ?", event.identity),
            ("SELECT 1 FROM isthmus_guard WHERE key = ? AND version >= ?", event.identity),
            ("SELECT 1 FROM isthmus_parked WHERE key = ? AND version = ?", event.identity),
        )
        return any(self._read.execute(*ask).fetchone() for ask in asks)

    def _lease(self, table: str) -> Lease:
        lease = self._world.checkpoints.leases.read(f"source/{table}")
        assert lease is not None
        return lease


def version(row: Version, generation: int) -> str:
    """Give the version that a change of this row must carry: the generation, and the position."""
    return f"{generation:08d}{row.position:030d}"


def lag(world: "World") -> str:
    """Say what is not done yet, or nothing (I8)."""
    for table in (THINGS, MOVES):
        rows = world.office.journal[table]
        if rows and world.oracle.watermarks.get(table) != rows[-1].position:
            return f"the watermark of {table} is {world.oracle.watermarks.get(table)}, not {rows[-1].position}"
    saved = world.checkpoints.shards.read_all()
    for shard in world.stream.shards():
        done = saved.get(shard.id)
        records = world.stream.records(shard.id)
        if done is not None and done.ended:
            continue
        if shard.closed or (records and (done is None or done.sequence != records[-1].sequence)):
            return f"{shard.id} is not checkpointed at its last record"
    return "" if world.stream.all_delivered else "the stream holds something back"
