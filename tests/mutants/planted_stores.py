"""The planted bugs of the stores beyond SQLite, and of reading a source again."""

from tests.mutants.mutant import Mutant

D, P = "isthmus/consumer/stores/dynamodb/", "isthmus/consumer/stores/postgres/"
DYNAMO = "tests/contract/test_store_dynamodb.py"
SPECIAL = "tests/contract/test_store_dynamodb_special.py"
SIZES = "tests/contract/test_store_dynamodb_sizes.py"
SETUP = "tests/contract/test_store_dynamodb_setup.py"
PLAIN = "tests/contract/test_store_dynamodb_plain.py"
RACES = "tests/contract/test_store_dynamodb_races.py"
REDRIVE = "tests/contract/test_store_dynamodb_redrive.py"
REDRIVE_RACES = "tests/contract/test_store_dynamodb_redrive_races.py"
SETTLED = "tests/contract/test_store_dynamodb_settled.py"
CANCELLED = "tests/unit/test_dynamodb_cancelled.py"
SPREAD = "tests/unit/test_dynamodb_spread.py"
VALUES = "tests/unit/test_dynamodb_values.py"
POSTGRES = "tests/contract/test_store_postgres.py"
QUICK = "tests/contract/test_postgres_quick.py"
MONTHS = "tests/contract/test_postgres_months.py"
SESSIONS = "tests/contract/test_postgres_sessions.py"
SQLITE_QUICK = "tests/contract/test_sqlite_quick.py"
RESYNC = "tests/unit/test_resync.py"

STORE_MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "a state that is read again counts as unchanged without a look",
        "isthmus/consumer/batch.py",
        "            return self._unit.same(entity, [part[place].delivered.change for place in again])",
        "            return {part[place].delivered.change.key for place in again}",
        ("tests/contract/test_store_sqlite.py",),
    ),
    Mutant(
        "SQLite: the quick way writes what may be the same row",
        "isthmus/consumer/stores/sqlite/statements.py",
        "substr(isthmus_guard.version, 1, {GENERATION_DIGITS}) = substr(excluded.version, 1, {GENERATION_DIGITS})",
        "true",
        (SQLITE_QUICK,),
    ),
    Mutant(
        "one poison change sends the next batch the other way",
        "isthmus/consumer/applier.py",
        "self._apply([batch[place] for place in aside], None)",
        "self.apply([batch[place] for place in aside])",
        (SQLITE_QUICK,),
    ),
    Mutant(
        "something of a key takes effect before what was set aside of it",
        "isthmus/consumer/at_once.py",
        "        return found if len(names) == 2 * len(batch) else {}\n",
        "        return found\n",
        (SQLITE_QUICK,),
    ),
    Mutant(
        "DynamoDB: handlers run for what is read again and is the same",
        f"{D}one.py",
        "handling = handling if not same else None",
        "handling = handling or None",
        (DYNAMO,),
    ),
    Mutant(
        "DynamoDB: the same version of another transaction",
        f"{D}effects.py",
        "{expression.name(marks.version)} < {expression.value(version)}",
        "{expression.name(marks.version)} <= {expression.value(version)}",
        (PLAIN,),
    ),
    Mutant(
        "DynamoDB: a tombstone forgotten",
        f"{D}effects.py",
        "            return put(items.table, self._tombstone(key, change, now_ms, {}), expression, condition)",
        "            return delete(place, expression, condition)",
        (PLAIN,),
    ),
    Mutant(
        "DynamoDB: reasons of a cancellation read as one",
        f"{D}cancelled.py",
        "        if code == _UNMET:\n            return Unmet",
        '        if code != "None":\n            return Unmet',
        (CANCELLED,),
    ),
    Mutant(
        "DynamoDB: refused where others were only in the way",
        f"{D}cancelled.py",
        "    if causes:\n",
        "    if causes and len(causes) == len(codes):\n",
        (CANCELLED,),
    ),
    Mutant(
        "DynamoDB: the ledger outside of the transaction",
        f"{D}effects.py",
        "        actions = [put_new(self._settings.table, ledger, PARTITION_KEY)]\n",
        "        actions: list[Action] = []\n",
        (SPECIAL, SIZES, SETUP),
    ),
    Mutant(
        "DynamoDB: a parked key overtaken",
        f"{D}effects.py",
        "            actions.append(check_absent(standing.lot))\n",
        "            pass\n",
        (SPECIAL, SIZES, SETUP),
    ),
    Mutant(
        "DynamoDB: what was read is not in the condition",
        f"{D}writes.py",
        "same = [expression.equal(name, place.item) for name in deciding]",
        "same = list[str]()",
        (SPECIAL, SIZES, SETUP),
    ),
    Mutant(
        "DynamoDB: a fence lowered",
        f"{D}decider.py",
        "{epoch} < {expression.value(number(marker.epoch))}",
        "{epoch} <> {expression.value(number(marker.epoch))}",
        (SPECIAL, SIZES, SETUP),
    ),
    Mutant(
        "DynamoDB: the copy for the dead-letter queue forgotten",
        f"{D}lot.py",
        "if parking.reason != BEHIND:",
        "if False:",
        (DYNAMO,),
    ),
    Mutant(
        "DynamoDB: a state frees what is newer",
        f"{D}lot.py",
        'row["version"]["S"] < guard.version]',
        'row["version"]["S"] != guard.version]',
        (DYNAMO,),
    ),
    Mutant(
        "DynamoDB: chains by the key alone",
        f"{D}spread.py",
        '("key", change.key), ("id", change.id)',
        '("key", change.key), ("key", change.key)',
        (SPREAD,),
    ),
    Mutant(
        "DynamoDB: a condition of a handler's that fails in a race is poison",
        f"{D}handling.py",
        "        if seen != self._seen:",
        "        if self._seen == seen:",
        (RACES,),
    ),
    Mutant(
        "DynamoDB: what a handler was shown may be another thing at the commit",
        f"{D}effects.py",
        "if not shown or business.item is None:",
        "if not shown or business:",
        (RACES,),
    ),
    Mutant(
        "DynamoDB: an adopted item forgets what is parked",
        f"{D}effects.py",
        "if newest is not None and self._adopts(standing):",
        "if newest is None and self._adopts(standing):",
        (RACES,),
    ),
    Mutant(
        "DynamoDB: something is parked while its item is made",
        f"{D}lot.py",
        "if business is None or business is standing.home:",
        "if business is None or business is not None:",
        (RACES,),
    ),
    Mutant(
        "DynamoDB: a line of the list outlives its parked change",
        f"{D}lot.py",
        ', Action("Delete", {"TableName": table, "Key": listed_key(key)})]',
        "]",
        (RACES,),
    ),
    Mutant(
        "DynamoDB: a redrive writes to a lot that is another one by now",
        f"{D}lot.py",
        "        return [put(table, item, expression, condition), put_over(table, listed)]",
        "        return [put_over(table, item), put_over(table, listed)]",
        (f"{REDRIVE_RACES}::test_an_older_change_that_is_parked_meanwhile_goes_first",),
    ),
    Mutant(
        "DynamoDB: a redrive does not look whether its change is the first of its key",
        f"{D}line.py",
        "            if first is None or first[SORT_KEY] != row[SORT_KEY]:\n",
        "            if first is None:\n",
        (f"{REDRIVE_RACES}::test_an_older_change_that_is_parked_meanwhile_goes_first",),
    ),
    Mutant(
        "DynamoDB: an edit is lost to a redrive",
        f"{D}line.py",
        "if head is None or now is None or turn_of(now) != turn_of(row):",
        "if head is None or now is None:",
        (f"{REDRIVE_RACES}::test_an_edit_between_look_and_write_is_not_lost",),
    ),
    Mutant(
        "DynamoDB: a discarded change leaves no flag for batches under way",
        f"{D}lot.py",
        "        if settled > decides:\n",
        "        if not settled and decides:\n",
        (f"{SETTLED}::test_a_batch_under_way_does_not_apply_a_state_that_is_discarded_meanwhile",),
    ),
    Mutant(
        "DynamoDB: one of several that a change became takes effect after it was discarded",
        f"{D}leaving.py",
        "        return [self._parts.lot.unchanged(at.lot)], head_of(at.lot.item)",
        "        return [], head_of(at.lot.item)",
        (f"{REDRIVE}::test_what_is_discarded_while_it_becomes_several_does_no_more",),
    ),
    Mutant(
        "DynamoDB: a row that is settled is asked for by its ID alone",
        f"{D}decider.py",
        "settled([*(change.id for change in changes), *rows])",
        "settled([change.id for change in changes if rows])",
        (f"{SETTLED}::test_a_row_is_settled_for_deciders_that_began_before_and_for_one_write_alike",),
    ),
    Mutant(
        "DynamoDB: TTL ends what is to be remembered for longer now",
        f"{D}pruning.py",
        "        if wanted and int(item",
        "        if wanted or int(item",
        (PLAIN,),
    ),
    Mutant(
        "DynamoDB: deletions are looked for where they are not",
        f"{D}schema.py",
        "    if _mode(found) == settings.tombstones:\n",
        "    if _mode(found):\n",
        (SPECIAL, SIZES, SETUP),
    ),
    Mutant(
        "DynamoDB: a parked event lies where payloads expire",
        f"{D}bodies.py",
        "self._payloads.put(event, Folder.PARKED)",
        "self._payloads.put(event)",
        (SPECIAL, SIZES, SETUP),
    ),
    Mutant(
        "two types that share a table have an item in common",
        "isthmus/keytemplates.py",
        "    begin_alike = before.startswith(other_before) or other_before.startswith(before)",
        "    begin_alike = before == other_before",
        ("tests/unit/test_keytemplates.py",),
    ),
    Mutant("DynamoDB: 39 digits", f"{D}values.py", "MAX_DIGITS = 38", "MAX_DIGITS = 39", (VALUES,)),
    Mutant(
        "PostgreSQL: guard after the write",
        f"{P}unit.py",
        "        if log.guards:\n            run(texts.save_guard",
        '        if log.guards:\n            run("COMMIT")\n            run("BEGIN")\n            run(texts.save_guard',
        (POSTGRES,),
    ),
    Mutant(
        "PostgreSQL: the ledger outside of the transaction",
        f"{P}unit.py",
        "        if log.ledger:\n",
        '        if log.ledger:\n            run("COMMIT")\n            run("BEGIN")\n',
        (POSTGRES,),
    ),
    Mutant(
        "PostgreSQL: `>=` for `>`",
        f"{P}statements.py",
        "g.version < EXCLUDED.version",
        "g.version <= EXCLUDED.version",
        (QUICK,),
    ),
    Mutant(
        "PostgreSQL: the same ID again",
        f"{P}statements.py",
        " AND g.txn <> EXCLUDED.txn",
        "",
        (QUICK,),
    ),
    Mutant(
        "PostgreSQL: no lock",
        f"{P}unit.py",
        "                run(texts.lock, (self._locks.space, self._locks.of({change.key for change in changes})))\n",
        "",
        (SESSIONS,),
    ),
    Mutant(
        "PostgreSQL: no lock on the quick way",
        f"{P}quick.py",
        "                run(texts.lock, (self._locks.space, self._locks.of(change.key for change in changes)))\n",
        "",
        (SESSIONS,),
    ),
    Mutant(
        "PostgreSQL: a tombstone forgotten",
        f"{P}unit.py",
        "rows = sorted(guards.items())",
        "rows = sorted(item for item in guards.items() if not item[1].deleted)",
        (POSTGRES,),
    ),
    Mutant(
        "PostgreSQL: a tombstone that lives",
        f"{P}quick.py",
        '["t" if change.verb',
        '["f" if change.verb',
        (QUICK,),
    ),
    Mutant(
        "PostgreSQL: the ledger by the month of the arrival",
        f"{P}statements.py",
        "_texts([(each.id, month_of(each.time), each.key, each.version, each.rowhash) for each in changes])",
        "_texts([(each.id, _NO_MONTH, each.key, each.version, each.rowhash) for each in changes])",
        (MONTHS,),
    ),
    Mutant(
        "PostgreSQL: the quick way asks for no fence",
        f"{P}statements.py",
        "AND epoch > %s)",
        "AND epoch > %s AND false)",
        (QUICK,),
    ),
    Mutant(
        "PostgreSQL: the quick way asks for no parking lot",
        f"{P}statements.py",
        "SELECT key FROM {s}.parked UNION ALL",
        "SELECT key FROM {s}.parked WHERE false UNION ALL",
        (QUICK,),
    ),
    Mutant(
        "PostgreSQL: the quick way commits whatever stands there",
        f"{P}quick.py",
        " and claimed.rowcount == len(changes)",
        "",
        (QUICK,),
    ),
    Mutant(
        "PostgreSQL: guards of the living are pruned",
        f"{P}pruning.py",
        '"deleted AND decided < %s"',
        '"decided < %s"',
        (POSTGRES,),
    ),
    Mutant(
        "PostgreSQL: a month is dropped with something young in it",
        f"{P}pruning.py",
        "            if not self._has_young(part, before_ms):\n",
        "            if part:\n",
        (MONTHS,),
    ),
    Mutant(
        "SQLite: `>=` for `>` on the quick way",
        "isthmus/consumer/stores/sqlite/statements.py",
        "isthmus_guard.version < excluded.version",
        "isthmus_guard.version <= excluded.version",
        (SQLITE_QUICK,),
    ),
    Mutant(
        "SQLite: the quick way asks for no fence",
        "isthmus/consumer/stores/sqlite/quick.py",
        "if fences and any(",
        "if False and any(",
        (SQLITE_QUICK,),
    ),
    Mutant(
        "SQLite: the quick way commits whatever stands there",
        "isthmus/consumer/stores/sqlite/quick.py",
        "connection.executemany(sql.CLAIM_GUARD, rows).rowcount == len(batch)",
        "connection.executemany(sql.CLAIM_GUARD, rows).rowcount > 0",
        (SQLITE_QUICK,),
    ),
    Mutant(
        "resync: the generation raised twice",
        "isthmus/checkpoint/resync.py",
        "if self.wanted is None:",
        "if True:",
        (RESYNC,),
    ),
    Mutant(
        "resync: the watermark stays",
        "isthmus/checkpoint/resync.py",
        "take(raised, seen, replace=True)",
        "take(raised, seen)",
        (RESYNC,),
    ),
    Mutant(
        "resync: a generation is forgotten with the stream",
        "isthmus/checkpoint/memory.py",
        "if lease.generation",
        "if False",
        ("tests/contract/test_checkpoint_memory.py",),
    ),
)
