"""The planted bugs: each is a promise broken in one place, and the tests that must notice it."""

from tests.mutants.mutant import Mutant
from tests.mutants.planted_brake import BRAKE_MUTANTS
from tests.mutants.planted_declared import DECLARED_MUTANTS
from tests.mutants.planted_errors import ERROR_MUTANTS
from tests.mutants.planted_gates import GATE_MUTANTS
from tests.mutants.planted_kcl import KCL_MUTANTS
from tests.mutants.planted_letters import LETTER_MUTANTS
from tests.mutants.planted_postgres import POSTGRES_MUTANTS
from tests.mutants.planted_proxy import PROXY_MUTANTS
from tests.mutants.planted_stores import STORE_MUTANTS
from tests.mutants.planted_types import TYPE_MUTANTS

LANES = ("tests/unit/test_lanes.py", "tests/unit/test_lanes_property.py")
PUBLISHER = "tests/unit/test_publisher.py"
SERVICE = ("tests/unit/test_producer_service.py", "tests/unit/test_producer_service_outages.py")
DECIDING = "tests/unit/test_deciding.py"
PROCESSOR = "tests/unit/test_processor.py"
STORE = "tests/contract/test_store_sqlite.py"
OWNERSHIP = "tests/unit/test_ownership.py"
CHECKPOINTS = "tests/contract/test_checkpoint_memory.py"
PROGRESS = "tests/unit/test_progress.py"
RUNTIME = "tests/unit/test_local_runtime.py"
READER = ("tests/unit/test_local_runtime_reader.py", "tests/unit/test_local_runtime_reader_troubles.py")
SHARDS = "tests/unit/test_shard_states.py"
COMPOSITION = "tests/unit/test_composition.py"


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "watermark saved before the acknowledgement",
        "isthmus/producer/service.py",
        "        done = self._progress.done()\n",
        "        done = self._after\n",
        SERVICE,
    ),
    Mutant(
        "the guard dropped",
        "isthmus/consumer/deciding.py",
        "    if guard is None:\n        return None\n",
        "    if guard is None or guard is not None:\n        return None\n",
        (DECIDING, STORE),
    ),
    Mutant(
        "failed entries sent again after later ones",
        "isthmus/producer/lanes.py",
        "                lane.retry_at = now + self._backoff.delay(lane.attempts, self._chance)\n"
        "                self._line.append(lane)\n",
        "                lane.retry_at = now + self._backoff.delay(lane.attempts, self._chance)\n"
        "                lane.queue.extend((lane.bundle.data[1:-1], t) for t in lane.bundle.tickets[:1])\n"
        "                lane.bundle = None\n"
        "                self._line.append(lane)\n",
        LANES,
    ),
    Mutant(
        "two bundles of a lane in flight",
        "isthmus/producer/lanes.py",
        "        if not place.queue and place.bundle is None:\n",
        "        if not place.queue:\n",
        LANES,
    ),
    Mutant(
        "checkpoint at the newest instead of the contiguous",
        "isthmus/consumer/processor.py",
        "            self._position = group.last\n",
        "            self._position = records[-1].place\n",
        (PROCESSOR,),
    ),
    Mutant(
        "the record's place claimed before its changes are durable",
        "isthmus/consumer/processor.py",
        "            if group.changes:\n                self._apply(group.changes)\n",
        "            self._position = group.last or self._position\n"
        "            if group.changes:\n                self._apply(group.changes)\n",
        (PROCESSOR,),
    ),
    Mutant(
        "progress passes over a gap",
        "isthmus/checkpoint/progress.py",
        "        self._left[ticket] -= 1\n        self._pass()\n",
        "        self._left[ticket] -= 1\n        self._done = self._marks[ticket]\n        self._pass()\n",
        (PROGRESS,),
    ),
    Mutant(
        "a sub-sequence invented: a checkpoint in the middle of a record",
        "isthmus/consumer/processor.py",
        "            if len(changes) >= self._settings.batch_changes or index == len(records) - 1:\n",
        "            while len(changes) > self._settings.batch_changes:\n"
        "                yield _Group(changes[: self._settings.batch_changes], f'{record.sequence}#1', 0)\n"
        "                changes = changes[self._settings.batch_changes :]\n"
        "            if len(changes) >= self._settings.batch_changes or index == len(records) - 1:\n",
        (PROCESSOR,),
    ),
    Mutant(
        "the fence forgotten",
        "isthmus/consumer/deciding.py",
        "    return change.epoch < fences.get((change.source, change.lane), 0)\n",
        "    return False\n",
        (DECIDING, STORE),
    ),
    Mutant(
        "an older marker lowers the fence",
        "isthmus/consumer/deciding.py",
        "    if marker.epoch <= fences.get(place, 0):\n",
        "    if marker.epoch == fences.get(place, 0):\n",
        (DECIDING, STORE),
    ),
    Mutant(
        "the marker not awaited",
        "isthmus/producer/service.py",
        "        while not self._publisher.idle():\n"
        "            if self._stop.requested():\n                return False\n",
        "        while False:\n            if self._stop.requested():\n                return False\n",
        SERVICE,
    ),
    Mutant(
        ">= for >: the same version applied twice",
        "isthmus/consumer/deciding.py",
        "change.version <= guard.version",
        "change.version < guard.version",
        (DECIDING, STORE),
    ),
    Mutant(
        "a parked key overtaken (kind event)",
        "isthmus/consumer/deciding.py",
        "    if kind is _EVENT and change.key in memory.newest_parked:\n        return _BEHIND\n",
        "",
        (DECIDING, STORE),
    ),
    Mutant(
        "the guard asked after parked",
        "isthmus/consumer/deciding.py",
        "    known = _by_ledger(change, memory) or (None if kind is _EVENT else _by_guard(change, memory))\n"
        "    if known is not None:\n        return known\n",
        "    if change.verb is _UNTRANSLATED:\n"
        "        return Decision(Outcome.PARKED, _untranslated_reason(change))\n"
        "    known = _by_ledger(change, memory) or (None if kind is _EVENT else _by_guard(change, memory))\n"
        "    if known is not None:\n        return known\n",
        (DECIDING, STORE),
    ),
    Mutant(
        "parking twice",
        "isthmus/consumer/deciding.py",
        "    if rowhash is not None:\n        return _PARKED_OTHERWISE",
        "    if False:\n        return _PARKED_OTHERWISE",
        (DECIDING, STORE),
    ),
    Mutant(
        "the ledger forgotten (kind event)",
        "isthmus/consumer/deciding.py",
        "        memory.ledger[change.id] = change.rowhash\n",
        "",
        (DECIDING, STORE),
    ),
    Mutant(
        "the ledger not written",
        "isthmus/consumer/stores/sqlite/unit.py",
        "        if log.ledger:\n",
        "        if False:\n",
        (STORE,),
    ),
    Mutant(
        "a valid state that frees something newer",
        "isthmus/consumer/stores/sqlite/statements.py",
        "DELETE FROM isthmus_parked WHERE key = ? AND entity = ? AND version < ?",
        "DELETE FROM isthmus_parked WHERE key = ? AND entity = ? AND ? <> ''",
        (STORE,),
    ),
    Mutant(
        "a delete forgotten: no tombstone",
        "isthmus/consumer/batch.py",
        "            if entity.kind is _STATE:\n                log.guards",
        "            if entity.kind is _STATE and change.verb is not _DELETE:\n                log.guards",
        (STORE,),
    ),
    Mutant(
        "guard and effect in two transactions",
        "isthmus/consumer/stores/sqlite/unit.py",
        "        try:\n            with translated():\n                self._save(log)\n",
        "        try:\n            with translated():\n"
        "                self._connection.execute('COMMIT')\n"
        "                self._connection.execute('BEGIN IMMEDIATE')\n"
        "                self._save(log)\n",
        (STORE,),
    ),
    Mutant(
        "the outbox row forgotten",
        "isthmus/consumer/batch.py",
        "        if parking.reason != BEHIND:\n            self._log.outbox.append(parking)\n",
        "",
        (STORE,),
    ),
    Mutant(
        "a handler's swallowed outage committed",
        "isthmus/consumer/stores/sqlite/unit.py",
        '        self.transaction.raise_failure()\n        with translated():\n            run("RELEASE part")\n',
        '        with translated():\n            run("RELEASE part")\n',
        (STORE,),
    ),
    Mutant(
        "shard end before the parent is applied",
        "isthmus/consumer/runtimes/shards.py",
        "                if ended and ready:\n",
        "                if ended or ready:\n",
        (SHARDS, RUNTIME),
    ),
    Mutant(
        "a child started beside its parent",
        "isthmus/consumer/runtimes/shards.py",
        "ShardState.ENDED if ended else ShardState.READY if ready else ShardState.WAITING",
        "ShardState.ENDED if ended else ShardState.READY",
        (SHARDS, RUNTIME),
    ),
    Mutant(
        "an expired iterator begins at the newest place handed out, not after the last record",
        "isthmus/consumer/runtimes/reader.py",
        "        self._handed = records[-1].sequence\n",
        "        self._handed = records[0].sequence\n",
        (*READER, RUNTIME),
    ),
    Mutant(
        "epoch not in the watermark's condition",
        "isthmus/checkpoint/memory.py",
        "        if standing is None or standing.epoch != epoch or standing.holder is None:\n",
        "        if standing is None or standing.holder is None:\n",
        (CHECKPOINTS,),
    ),
    Mutant(
        "a late save of the watermark moves it back",
        "isthmus/checkpoint/memory.py",
        "                if lease.step > step:\n                    return lease\n",
        "",
        (CHECKPOINTS,),
    ),
    Mutant(
        "a take-over moves the watermark back",
        "isthmus/checkpoint/ownership.py",
        "            self.leases.take(mine, look.lease)\n",
        "            self.leases.take(mine, look.lease, replace=True)\n",
        (OWNERSHIP,),
    ),
    Mutant(
        "watermark read before the epoch is raised",
        "isthmus/checkpoint/ownership.py",
        "        standing = self.leases.read(self.name)\n"
        "        return standing if self._is_mine(standing) else None\n",
        "        from dataclasses import replace as changed\n"
        "        watermark = None if look.lease is None else look.lease.watermark\n"
        "        return changed(mine, watermark=watermark)\n",
        (OWNERSHIP,),
    ),
    Mutant(
        "a living holder taken for a silent one",
        "isthmus/checkpoint/ownership.py",
        "        if self._counter != counter:\n            self._counter, self._since = counter, answered\n",
        "        if self._counter is None:\n            self._counter, self._since = counter, answered\n",
        (OWNERSHIP,),
    ),
    Mutant(
        "a checkpoint goes backwards",
        "isthmus/checkpoint/places.py",
        "    return digits.zfill(_DIGITS)\n",
        "    return digits\n",
        (CHECKPOINTS,),
    ),
    Mutant(
        "a lost owner goes on publishing",
        "isthmus/producer/service.py",
        "        if self._lost():\n",
        "        if False:\n",
        SERVICE,
    ),
    Mutant(
        "a lost owner's sink is not asked",
        "isthmus/console/producing.py",
        "OwnedSink(_sink(settings), lambda: heart.lost)",
        "_sink(settings)",
        (COMPOSITION,),
    ),
    Mutant(
        "a consumer that lost its lease goes on",
        "isthmus/console/consuming.py",
        "        lost=lambda: heart.lost,\n",
        "        lost=lambda: False,\n",
        (COMPOSITION,),
    ),
    Mutant(
        "a failed save's number is used again",
        "isthmus/producer/service.py",
        "        self._saves += 1\n"
        "        self._leases.advance(self._lease.name, self._lease.epoch, done, step=self._saves)\n",
        "        self._leases.advance(self._lease.name, self._lease.epoch, done, step=self._saves + 1)\n"
        "        self._saves += 1\n",
        SERVICE,
    ),
    Mutant(
        "the back-off of an old outage stays",
        "isthmus/producer/service.py",
        "        self._read_failures = 0\n        self._watches",
        "        self._watches",
        SERVICE,
    ),
    Mutant(
        "a bundle's commas are not counted",
        "isthmus/producer/lanes.py",
        "            size += len(queue[0][0]) + 1\n",
        "            size += len(queue[0][0])\n",
        LANES,
    ),
    Mutant(
        "what is parked with the same version is freed in its batch",
        "isthmus/consumer/batch.py",
        "                and old.change.version < newer.version\n",
        "                and old.change.version <= newer.version\n",
        (STORE,),
    ),
    Mutant(
        "a place of the history is given twice",
        "isthmus/consumer/stores/sqlite/trail.py",
        "WHERE name = 'last_place'), 0))",
        "WHERE name = 'no_place'), 0))",
        (STORE,),
    ),
    Mutant(
        "what is told behind the guard's back is not found",
        "isthmus/consumer/stores/sqlite/trail.py",
        "            self._connection.executemany(_POINT_GUARD,",
        "            0 and self._connection.executemany(_POINT_GUARD,",
        (STORE,),
    ),
    Mutant(
        "a checkpoint passes a front office that was moved away",
        "isthmus/consumer/stores/sqlite/store.py",
        "            # read must come again.\n            self._shared.in_place()\n",
        "            # read must come again.\n",
        (STORE,),
    ),
    *GATE_MUTANTS,
    *BRAKE_MUTANTS,
    *DECLARED_MUTANTS,
    *ERROR_MUTANTS,
    *STORE_MUTANTS,
    *POSTGRES_MUTANTS,
    *KCL_MUTANTS,
    *LETTER_MUTANTS,
    *PROXY_MUTANTS,
    *TYPE_MUTANTS,
)
