"""The planted bugs of the fault proxy."""

from tests.mutants.mutant import Mutant

P = "isthmus/console/proxy/"
RULES = "tests/unit/test_proxy_rules.py"
AWS = "tests/integration/test_proxy_aws.py"
HTTP2 = "tests/integration/test_proxy_http2.py"
POSTGRES = "tests/integration/test_proxy_postgres.py"

PROXY_MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "proxy: counted before the effect",
        f"{P}desk.py",
        "        elif await _struck(client, due[0]):\n            plan.fired(due.pop())\n",
        "        else:\n            plan.fired(struck := due.pop())\n            await _struck(client, struck)\n",
        (AWS,),
    ),
    Mutant(
        "proxy: a lost answer to what never reached the service",
        f"{P}behaviour.py",
        "    answer = await exchange.forward(exchange.request)\n    # Only the answer",
        "    return Act(None)\n    # Only the answer",
        (AWS,),
    ),
    Mutant(
        "proxy: the answer to what was refused is lost too",
        f"{P}behaviour.py",
        "return Act(None) if answers.took_effect(struck.service, answer) else Act(answer, fired=False)",
        "return Act(None)",
        (AWS,),
    ),
    Mutant("proxy: the seed is ignored", f"{P}rules.py", 'seed = f"{self._seed}/', 'seed = f"', (RULES,)),
    Mutant(
        "proxy: what had no effect is forgotten",
        f"{P}rules.py",
        "        count.owed += 1\n",
        "        count.owed += 0\n",
        (RULES,),
    ),
    Mutant(
        "proxy: more often than it may be while some are open",
        f"{P}rules.py",
        "count.fired + count.open < rule.times",
        "count.fired < rule.times",
        (RULES,),
    ),
    Mutant(
        "proxy: latency takes the place of another fault",
        f"{P}rules.py",
        "takes=struck is None or rule.kind is Kind.LATENCY",
        "takes=struck is None and not found",
        (RULES,),
    ),
    Mutant(
        "proxy: refused entries of a batch reach the service",
        f"{P}behaviour.py",
        "exchange.forward(batch.without(request, refused.keys()))",
        "exchange.forward(request)",
        (AWS,),
    ),
    Mutant(
        "proxy: a short answer counts as cut",
        f"{P}http1.py",
        "            await self.answer(response)\n            return False",
        "            await self.answer(response)\n            return cut is not None",
        (AWS,),
    ),
    Mutant(
        "proxy: the reset of a stream takes the connection along",
        f"{P}http2.py",
        "                await self._peer.reset(self._stream)\n            case Breaks.GOAWAY",
        "                self._peer.break_off()\n            case Breaks.GOAWAY",
        (HTTP2,),
    ),
    Mutant(
        "proxy: bytes are acknowledged and not passed on",
        f"{P}http2.py",
        "                    await self._peer.data(self._stream, event.data, ends=False)\n",
        "",
        (HTTP2,),
    ),
    Mutant(
        "proxy: the answer to a commit is lost before it is committed",
        f"{P}postgres.py",
        "return answered == (rule.operations == {COMMIT})",
        "return not answered",
        (POSTGRES,),
    ),
    Mutant(
        "proxy: the answer to a statement comes before its loss",
        f"{P}postgres.py",
        "        if self._losing is not None or self._hangs:\n",
        "        if self._hangs:\n",
        (POSTGRES,),
    ),
    Mutant(
        "proxy: a rolled back transaction counts as a commit",
        f"{P}pgwire.py",
        'COMMITTED: Final = b"COMMIT\\0"',
        'COMMITTED: Final = b"ROLLBACK\\0"',
        (POSTGRES,),
    ),
    Mutant(
        "proxy: faults of a session that ends are lost",
        f"{P}postgres.py",
        "            self._plan.put_back(struck)\n",
        "            pass\n",
        (POSTGRES,),
    ),
)
