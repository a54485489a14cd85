"""The planted bugs of the limit that processes share, of dead letters before the brake, and of drains that fail."""

from tests.mutants.mutant import Mutant

SHARED = "tests/unit/test_brake_shared.py"
COUNT = "tests/unit/test_brakecount.py"
ITEMS = "tests/contract/test_brake_items.py"
DRAINS = "tests/contract/test_drain_limits.py"
LETTERS = "tests/unit/test_dlq_braking.py"
BRAKE, SHARING = "isthmus/consumer/brake.py", "isthmus/consumer/sharing.py"

BRAKE_MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "each process has a limit of its own",
        BRAKE,
        "        there = len(each.parked) + counting(each.elsewhere, now)\n",
        "        there = len(each.parked)\n",
        (SHARED, "tests/contract/test_brake_processes.py"),
    ),
    Mutant(
        "what others parked is all that counts",
        BRAKE,
        "        there = len(each.parked) + counting(each.elsewhere, now)\n",
        "        there = max(len(each.parked), counting(each.elsewhere, now))\n",
        (SHARED,),
    ),
    Mutant(
        "a batch that does not wait for what others parked",
        "isthmus/consumer/braking.py",
        "                self._sharing.wait(stop)\n",
        "                pass\n",
        (SHARED,),
    ),
    Mutant(
        "a batch is told of when the notes are read",
        "isthmus/consumer/braking.py",
        "                    self._sharing.begin()\n",
        "                    pass\n",
        (SHARED,),
    ),
    Mutant(
        "an answer that does not come is waited for by every batch",
        SHARING,
        "                # Nobody else waits either, until it is known to answer.\n"
        "                self._is_away = True\n",
        "",
        (SHARED,),
    ),
    Mutant(
        "what could not be told is forgotten",
        SHARING,
        "                    self._brake.tell_again(list(wanted)[place:])\n",
        "                    pass\n",
        (SHARED,),
    ),
    Mutant(
        "what comes while others are told is told to nobody",
        SHARING,
        "                    self._is_telling = self._brake.presses\n",
        "                    self._is_telling = False\n",
        (SHARED,),
    ),
    Mutant(
        "every odd row is told",
        BRAKE,
        "        return len(each.parked) > self._most // _UNTOLD\n",
        "        return len(each.parked) > 0\n",
        (SHARED,),
    ),
    Mutant(
        "what was told before is told with every batch",
        BRAKE,
        "            each.news = each.presses = False\n",
        "            each.presses = False\n",
        (SHARED,),
    ),
    Mutant(
        "a key that comes again presses as a new one does",
        BRAKE,
        "        more = len(each.parked) > known and each.state is State.ARMED\n",
        "        more = each.state is State.ARMED\n",
        (SHARED,),
    ),
    Mutant(
        "what is released elsewhere puts the brake on here",
        "isthmus/consumer/brakecount.py",
        " if share.until > now and not share.released)\n",
        " if share.until > now)\n",
        (SHARED, COUNT),
    ),
    Mutant(
        "a new process puts on again what a person released",
        BRAKE,
        "            if len(each.parked) + in_all(each.elsewhere, now) > self._most:\n",
        "            if len(each.parked) + in_all(each.elsewhere, now) < 0:\n",
        (SHARED,),
    ),
    Mutant(
        "what others parked counts for ever",
        "isthmus/consumer/brakecount.py",
        "    return [share for share in found if now < share.until <= now + 2 * window]\n",
        "    return [share._replace(until=float('inf')) for share in found if share.until <= now + 2 * window]\n",
        (SHARED, COUNT),
    ),
    Mutant(
        "a clock that is far ahead holds everybody",
        "isthmus/consumer/brakecount.py",
        "    return [share for share in found if now < share.until <= now + 2 * window]\n",
        "    return [share for share in found if now < share.until]\n",
        (COUNT,),
    ),
    Mutant(
        "who speaks again is taken away",
        "isthmus/checkpoint/table.py",
        'f"#{name} = :{name}" for name in gone)',
        'f"(#{name} = :{name} OR #{name} <> :{name})" for name in gone)',
        (ITEMS,),
    ),
    Mutant(
        "a redrive of dead letters parks as much as there is",
        "isthmus/console/dlq/braking.py",
        "        if len(minute) >= self._most:\n",
        "        if len(minute) < 0:\n",
        (LETTERS,),
    ),
    Mutant(
        "a redrive of dead letters beside the brake",
        "isthmus/console/dlq/redriving.py",
        '        return "" if why and self._ask(partial(self._tools.letters.waits, waiting)) else why\n',
        '        return ""\n',
        (LETTERS,),
    ),
    Mutant(
        "what waits in the lot is kept back by the brake",
        "isthmus/console/dlq/redriving.py",
        '        return "" if why and self._ask(partial(self._tools.letters.waits, waiting)) else why\n',
        "        return why\n",
        (LETTERS,),
    ),
    Mutant(
        "a held change that fails is tried for ever",
        "isthmus/consumer/portions.py",
        "            if self._suspects is None or error.attempts is None or not rows:\n                raise\n",
        "            if self._suspects is None or not error.attempts or rows:\n                raise\n",
        (f"{DRAINS}::TestInSqlite",),
    ),
    Mutant(
        "all keys wait for the held change that fails",
        "isthmus/consumer/portions.py",
        "                failure = failure or error\n                continue\n",
        "                raise\n",
        (f"{DRAINS}::TestInSqlite",),
    ),
    Mutant(
        "a drain looks for the change that fails with every attempt anew",
        "isthmus/consumer/portions.py",
        "        if suspected and len(rows) > 1:\n",
        "        if len(suspected) > 99:\n",
        (f"{DRAINS}::TestInSqlite",),
    ),
    Mutant(
        "attempts at a held change are never forgotten",
        "isthmus/consumer/portions.py",
        "            self._suspects.settle(txn)\n",
        "            pass\n",
        (f"{DRAINS}::TestInSqlite",),
    ),
    Mutant(
        "DynamoDB: a held change that fails is tried for ever",
        "isthmus/consumer/stores/dynamodb/draining.py",
        "            if self._suspects is None or error.attempts is None:\n                raise\n",
        "            if error.attempts:\n                raise\n",
        (f"{DRAINS}::TestInDynamoDb",),
    ),
    Mutant(
        "DynamoDB: other keys wait for the held change that fails",
        "isthmus/consumer/stores/dynamodb/draining.py",
        "                    failures.append(error)\n                    return\n",
        "                    raise\n",
        (f"{DRAINS}::TestInDynamoDb",),
    ),
)
