"""Where everything stands, asked part by part: what one part cannot say does not silence the others."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from isthmus import aws
from isthmus.checkpoint.brakes import Word
from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.ownership import source_lease, worker_lease
from isthmus.checkpoint.ports import HandOver, Lease, ShardCheckpoint
from isthmus.console.braking import note_as_json
from isthmus.console.declaring import standing_gates
from isthmus.console.gatelist import held_as_json
from isthmus.console.kcl.fanout import is_registered
from isthmus.console.owners import Owner, owners
from isthmus.console.parkedlist import reasons_as_json
from isthmus.console.producing import open_source
from isthmus.console.progress import checkpoints_of, counted, leases_of
from isthmus.console.wiring import Wiring, reader_of
from isthmus.consumer.feed import Shard
from isthmus.consumer.kinesis import KinesisFeed
from isthmus.consumer.stores.held import HeldReader
from isthmus.errors import IsthmusError, TargetDown
from isthmus.stream import StreamFacts

T = TypeVar("T")
_UNKNOWN = "Owner and watermark are not known: see the stream's trouble."
_STREAM, _TABLE = "stream", "table"
MOST_RECORDS = 100
"""Records after a checkpoint that are counted: what is more is many."""


class _Kcl(NamedTuple):
    """What the KCL's tables say."""

    table: str
    leader: str | None
    owners: Mapping[str, str]
    """The worker that holds each shard, where one does."""
    saved: Mapping[str, ShardCheckpoint]


class Standing:
    """One look. `error` is the first trouble with stream or checkpoint table, without which little can be said."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self.error: IsthmusError | None = None
        self._silent: set[str] = set()

    def look(self) -> dict[str, Any]:
        """Give everything, in the form that `isthmus status --json` documents."""
        settings = self._wiring.settings
        stream = {"name": settings.stream.name, "shards": None, "lanes": settings.stream.lanes, "trouble": ""}
        checkpoints = self._wiring.checkpoints()
        facts = self._ask(_STREAM, lambda: self._wiring.stream(checkpoints), stream)
        if facts is not None:
            stream["shards"] = facts.open_shards
        found = self._ask(_TABLE, checkpoints.leases.all, stream)
        leases = None if found is None else {lease.name: lease for lease in found}
        held = self._ask(_TABLE, lambda: owners(checkpoints.leases.all, self._wiring.stop), stream) if leases else None
        by_lease = held or {}
        made = self._ask(_TABLE, checkpoints.hand_overs.read, stream)
        kcl = self._ask(_TABLE, lambda: self._kcl(made, checkpoints), stream) if made is not None else None
        saved = self._ask(_TABLE, checkpoints.shards.read_all, stream) if made is None else kcl and kcl.saved
        unknown = "" if leases == {} or held is not None else _UNKNOWN
        return {
            "application": settings.application,
            "stream": stream,
            "worker": _owner(by_lease.get(worker_lease(settings.application))),
            "kcl": None if kcl is None else self._workers(kcl, facts),
            "sources": [
                self._source(name, (leases or {}).get(source_lease(name)), by_lease.get(source_lease(name)), unknown)
                for name in settings.sources
            ],
            "shards": self._shards(stream, saved or {}, {} if kcl is None else kcl.owners),
            "brake": self._brake(checkpoints, stream),
            "gates": self._gates(checkpoints, stream),
            **self._front_office(),
        }

    def _brake(self, checkpoints: DynamoCheckpoints, stream: dict[str, Any]) -> list[dict[str, Any]] | None:
        found = self._ask(_TABLE, checkpoints.brakes.read_all, stream)
        return None if found is None else [note_as_json(note) for note in found.values() if note.word is Word.ON]

    def _gates(self, checkpoints: DynamoCheckpoints, stream: dict[str, Any]) -> list[dict[str, Any]] | None:
        return self._ask(_TABLE, lambda: standing_gates(self._wiring, checkpoints, None), stream)

    def _ask(self, part: str, question: Callable[[], T], row: dict[str, Any]) -> T | None:
        """Ask what all else rests on; note in the row why it could not be answered."""
        if part in self._silent:
            return None
        try:
            return question()
        except IsthmusError as error:
            if isinstance(error, TargetDown):
                # One time limit is long enough for who looks: a part that did not answer is not asked again.
                self._silent.add(part)
            self.error = self.error or error
            row["trouble"] = row["trouble"] or str(error)
            return None

    def _source(self, name: str, lease: Lease | None, owner: Owner | None, unknown: str) -> dict[str, Any]:
        """Tell of one source. `unknown` says why lease and owner are not known, where they are not."""
        row: dict[str, Any] = {
            "name": name,
            "watermark": None,
            "saved": lease.updated if lease is not None else None,
            "bound": None,
            "behind": None,
            "epoch": lease.epoch if lease is not None else None,
            "generation": lease.generation if lease is not None else None,
            "owner": _owner(owner),
            "trouble": unknown,
        }
        watermark = lease.watermark if lease is not None else None
        try:
            opened = open_source(self._wiring.settings.sources[name])
            try:
                row["watermark"] = opened.position(watermark) if watermark is not None else None
                row["bound"] = opened.read(None, 1).bound
            finally:
                opened.close()
        except IsthmusError as error:
            row["trouble"] = f"{error} {unknown}".rstrip()
            return row
        if lease is not None or not unknown:
            row["behind"] = max(0, (row["bound"] or 0) - (row["watermark"] or 0))
        return row

    def _workers(self, kcl: _Kcl, facts: StreamFacts | None) -> dict[str, Any]:
        """Tell of the KCL's workers, and of a registered consumer that they have, or have left over."""
        name = self._wiring.settings.kcl.table
        known = facts is not None and is_registered(
            aws.client(self._wiring.access, "kinesis"), facts.identity.arn, name
        )
        return {"table": kcl.table, "leader": kcl.leader, "fan_out": name if known else None}

    def _kcl(self, made: HandOver, checkpoints: DynamoCheckpoints) -> _Kcl:
        table = leases_of(self._wiring, made)
        lock, leases = table.leader(), table.read()
        owners = {lease.shard: lease.owner for lease in leases.values() if lease.owner}
        saved = counted(checkpoints_of(leases, made), made, checkpoints.shards.read_all(), checkpoints.notes.read_all())
        return _Kcl(made.leases, None if lock is None else lock.owner, owners, saved)

    def _shards(
        self, stream: dict[str, Any], saved: Mapping[str, ShardCheckpoint], held: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        settings = self._wiring.settings
        feed = KinesisFeed(aws.client(self._wiring.access, "kinesis"), settings.stream.name)
        listed = self._ask(_STREAM, feed.shards, stream)
        if listed is None:
            # The stream does not say which shards it has; the checkpoints still do.
            listed = [Shard(name, (), closed=saved[name].ended) for name in sorted(saved)]
        return [self._shard(feed, shard, saved.get(shard.id)) | {"owner": held.get(shard.id)} for shard in listed]

    def _shard(self, feed: KinesisFeed, shard: Shard, saved: ShardCheckpoint | None) -> dict[str, Any]:
        row: dict[str, Any] = {
            "id": shard.id,
            "closed": shard.closed,
            "done": saved.ended if saved is not None else False,
            "checkpoint": saved.sequence if saved is not None else None,
            "saved": saved.updated if saved is not None else None,
            "undecided": None,
            "behind_ms": None,
            "outcomes": dict(saved.counts) if saved is not None else {},
            "trouble": "",
        }
        if row["done"]:
            return row | {"undecided": 0, "behind_ms": 0}
        try:
            # One small read after the checkpoint: Kinesis says how far behind the newest record that is.
            fetched = feed.fetch(feed.iterator(shard.id, row["checkpoint"]), MOST_RECORDS)
        except IsthmusError as error:
            return row | {"trouble": str(error)}
        behind_ms = fetched.behind_ms
        if fetched.records:
            behind_ms = max(behind_ms, self._wiring.clock.now_ms() - fetched.records[0].arrival_ms)
        return row | {"undecided": len(fetched.records), "behind_ms": behind_ms}

    def _front_office(self) -> dict[str, Any]:
        try:
            # What is parked is told without versions, and so without the user's own code.
            reader = reader_of(self._wiring.settings, [])
            parked = reasons_as_json(reader.parked_by_reason())
            held = held_as_json(reader.held_by_gate()) if isinstance(reader, HeldReader) else []
        except IsthmusError as error:
            return {"held": None, "parked": None, "front_office": {"trouble": str(error)}}
        return {"held": held, "parked": parked, "front_office": {"trouble": ""}}


def _owner(owner: Owner | None) -> dict[str, Any] | None:
    if owner is None:
        return None
    holder = owner.holder
    return {
        "holder": holder.name,
        "host": holder.host,
        "process": holder.pid,
        "since": holder.since,
        "life": owner.life.value,
    }
