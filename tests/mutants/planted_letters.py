"""The planted bugs of the outbox, the dead-letter queue and its redrive."""

from tests.mutants.mutant import Mutant

D, C = "isthmus/consumer/deadletters/", "isthmus/console/dlq/"
SQLITE = "tests/contract/test_store_sqlite.py::"
POSTGRES = "tests/contract/test_store_postgres.py::"
DYNAMO = "tests/contract/test_store_dynamodb.py::"
OUTBOX, LETTERS = "TestOutbox", "TestLetters"
OLDEST = "TestStore::test_the_reader_tells_since_when_the_oldest_of_each_reason_is_parked"
SQLITE_LOT = "tests/contract/test_sqlite_lot.py"
PARTS = "tests/unit/test_console_parts.py"
SENDER = "tests/unit/test_dead_letter_sender.py"
PLACE = "tests/unit/test_dead_letter_place.py"
LOOKING = "tests/unit/test_dlq_looking.py"
REDRIVING = "tests/unit/test_dlq_redriving.py"

LETTER_MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "letters: a checkpoint before the outbox row is committed",
        "isthmus/consumer/stores/sqlite/unit.py",
        "many(sql.SAVE_OUTBOX, [",
        'self._connection.execute("COMMIT"); self._connection.execute("BEGIN IMMEDIATE"); many(sql.SAVE_OUTBOX, [',
        (f"{SQLITE}{OUTBOX}",),
    ),
    Mutant(
        "letters: PostgreSQL commits the parking before its copy",
        "isthmus/consumer/stores/postgres/unit.py",
        "run(texts.save_outbox, (now,",
        'run("COMMIT"); run("BEGIN"); run(texts.save_outbox, (now,',
        (f"{POSTGRES}{OUTBOX}",),
    ),
    Mutant(
        "letters: DynamoDB parks before it writes the copy",
        "isthmus/consumer/stores/dynamodb/lot.py",
        "            actions.append(put_new(table, outbox_item(parking, event, now_ms), PARTITION_KEY))\n"
        "        self._requests.transact([*actions, *besides])\n",
        "            self._requests.transact([*actions, *besides])\n"
        "            actions, besides = [put_new(table, outbox_item(parking, event, now_ms), PARTITION_KEY)], ()\n"
        "        self._requests.transact([*actions, *besides])\n",
        (f"{DYNAMO}{OUTBOX}",),
    ),
    Mutant(
        "letters: forgotten before the queue has taken it",
        f"{D}sender.py",
        "for place, is_taken in zip(places, answers, strict=True) if is_taken]",
        "for place in places]",
        (SENDER,),
    ),
    Mutant(
        "letters: who is not on duty sends too",
        f"{D}sender.py",
        "if not self._on_duty():",
        "if False:",
        (SENDER,),
    ),
    Mutant(
        "letters: SQS of AWS for who names other endpoints",
        f"{C}place.py",
        'if access.endpoint("sqs") is None and any(',
        "if False and any(",
        (PLACE,),
    ),
    Mutant(
        "letters: a message deleted before its change is decided",
        f"{C}redriving.py",
        "        found = self._ask(partial(self._tools.letters.decide, waiting, rehearse=self._rehearse))\n",
        "        self._forget(message)\n"
        "        found = self._ask(partial(self._tools.letters.decide, waiting, rehearse=self._rehearse))\n",
        (REDRIVING,),
    ),
    Mutant(
        "letters: a message deleted though its change waits in the lot",
        f"{C}redriving.py",
        "if self._rehearse or not self._ask(partial(self._tools.letters.waits, waiting)):",
        "if True:",
        (REDRIVING,),
    ),
    Mutant(
        "letters: somebody else's message deleted",
        f"{C}redriving.py",
        "        self.told.name(foreign_as_json(message, poison.message))\n        self._keep(message)\n",
        "        self.told.name(foreign_as_json(message, poison.message))\n        self._forget(message)\n",
        (REDRIVING,),
    ),
    Mutant(
        "letters: sequence numbers compared as texts",
        f"{C}redriving.py",
        "len(each.letter.sequence), each.letter.sequence",
        "each.letter.sequence",
        (REDRIVING,),
    ),
    Mutant(
        "letters: one from before the memory tried",
        f"{C}redriving.py",
        "if letter.parked_ms < self._not_before_ms:",
        "if False:",
        (REDRIVING,),
    ),
    Mutant(
        "letters: begun when its time is over",
        f"{C}redriving.py",
        "if self._clock.monotonic() >= in_hand.until:",
        "if False:",
        (REDRIVING,),
    ),
    Mutant(
        "letters: a look that gives nothing back",
        f"{C}looking.py",
        "mailbox.release(list(held.values()))",
        "mailbox.release([])",
        (LOOKING,),
    ),
    Mutant(
        "letters: an event of another change than is written on it",
        f"{D}reading.py",
        "!= (on_it.txn, on_it.key, on_it.source):",
        "is None:",
        (REDRIVING,),
    ),
    Mutant(
        "letters: a fence asked of what had passed it",
        f"{D}redriving.py",
        "            memory.fences = {}\n",
        "",
        (f"{SQLITE}{LETTERS}",),
    ),
    Mutant(
        "letters: decided before a closed gate",
        f"{D}redriving.py",
        "            if closed:\n",
        "            if False:\n",
        (f"{SQLITE}{LETTERS}",),
    ),
    Mutant(
        "letters: the lot not asked under the lock",
        f"{D}redriving.py",
        "            if unit.waiting([letter.key], 1, only=[letter.txn]):\n",
        "            if False:\n",
        (f"{SQLITE}{LETTERS}",),
    ),
    Mutant(
        "letters: what was discarded unread takes effect",
        f"{D}redriving.py",
        "if letter.txn in memory.settled:",
        "if False:",
        (f"{SQLITE}{LETTERS}",),
    ),
    Mutant(
        "letters: DynamoDB lets what was discarded unread take effect",
        "isthmus/consumer/stores/dynamodb/letters.py",
        "if letter.txn in settled:",
        "if False:",
        (f"{DYNAMO}{LETTERS}",),
    ),
    Mutant(
        "a row becomes a change of a key whose parked changes were just taken out beside it",
        "isthmus/consumer/redrive.py",
        "            return shared or {key: line}\n",
        "            pass\n",
        (f"{SQLITE}TestRedriveOfMany",),
    ),
    Mutant(
        "a key that stopped goes on in the next turn",
        "isthmus/consumer/redrive.py",
        "if one is not None and one.waiting.key not in self.stopped]",
        "if one is not None]",
        (f"{SQLITE}TestRedriveOfMany",),
    ),
    Mutant(
        "letters: no copy of what waited behind another and is poison itself",
        "isthmus/consumer/redrive.py",
        "if waiting.reason == BEHIND:",
        "if False:",
        (f"{SQLITE}{LETTERS}",),
    ),
    Mutant(
        "letters: DynamoDB has no copy of what waited behind another and is poison itself",
        "isthmus/consumer/stores/dynamodb/lot.py",
        'if row["reason"]["S"] == BEHIND:',
        "if False:",
        (f"{DYNAMO}{LETTERS}",),
    ),
    Mutant(
        "letters: a lost event stands in the way of all others",
        "isthmus/consumer/stores/dynamodb/outbox.py",
        "            lost = poison.message\n",
        "            raise\n",
        ("tests/contract/test_store_dynamodb_outbox.py",),
    ),
    Mutant(
        "parked: the newest of a reason told as its oldest",
        "isthmus/consumer/stores/sqlite/reading.py",
        "min(first) AS first",
        "max(first) AS first",
        (SQLITE_LOT,),
    ),
    Mutant(
        "parked: a million rows read whole to count them",
        "isthmus/consumer/stores/sqlite/reading.py",
        "min(place) AS first FROM isthmus_parked",
        "min(place) AS first, min(first_at) FROM isthmus_parked",
        (SQLITE_LOT,),
    ),
    Mutant(
        "parked: PostgreSQL tells the newest of a key as its oldest",
        "isthmus/consumer/stores/postgres/reading.py",
        "min(since)\n    FROM (SELECT reason",
        "max(since)\n    FROM (SELECT reason",
        (f"{POSTGRES}{OLDEST}",),
    ),
    Mutant(
        "parked: DynamoDB tells the newest key as the oldest",
        "isthmus/consumer/stores/dynamodb/reading.py",
        "since[reason] = min(",
        "since[reason] = max(",
        (f"{DYNAMO}{OLDEST}",),
    ),
    Mutant(
        "parked: who was relieved tells for ever how old something was",
        "isthmus/console/housekeeping.py",
        "                self._parked.clear()\n                self._oldest.clear()\n",
        "                self._parked.clear()\n",
        (PARTS,),
    ),
    Mutant(
        "parked: a reason that is gone stays as old as it was",
        "isthmus/console/housekeeping.py",
        "        self._oldest.clear()\n        for reason in reasons:\n",
        "        for reason in reasons:\n",
        (PARTS,),
    ),
    Mutant(
        "parked: a lot that takes long to count is counted without a rest",
        "isthmus/console/housekeeping.py",
        "max(pause, _REST * (",
        "max(pause, 0 * (",
        (PARTS,),
    ),
    Mutant(
        "parked: the alarm comes when the letter is gone",
        "infra/prometheus/alerts.yml",
        "> 0.5 * 3600 * 24 * 14",
        "> 1.0 * 3600 * 24 * 14",
        ("tests/unit/test_infra_alerts.py",),
    ),
)
