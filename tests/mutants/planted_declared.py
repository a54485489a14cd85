"""Planted bugs of gates that the settings declare: when a window ends, what a probe said, and for how long."""

from tests.mutants.mutant import Mutant

WINDOWS = "tests/unit/test_windows.py"
VERDICTS = "tests/unit/test_verdicts.py"
PROBING = "tests/unit/test_gate_probing.py"
PROBES = "tests/contract/test_gate_probes.py"

DECLARED_MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "a window that has no end",
        "isthmus/windows.py",
        "        if begun is None or (ended is not None and begun < ended):\n",
        "        if begun is None:\n",
        (WINDOWS,),
    ),
    Mutant(
        "a window's time zone ignored",
        "isthmus/windows.py",
        "        zone = ZoneInfo(time_zone)\n",
        '        zone = ZoneInfo("UTC")\n',
        (WINDOWS,),
    ),
    Mutant(
        "a window that opens at the first of two equal hours",
        "isthmus/windows.py",
        "        self._until = _Times(closed_until, zone, late=True)\n",
        "        self._until = _Times(closed_until, zone, late=False)\n",
        (WINDOWS,),
    ),
    Mutant(
        "a window looked at once",
        "isthmus/windows.py",
        "        if known is None or not _holds(known, now_ms):\n",
        "        if known is None:\n",
        (WINDOWS,),
    ),
    Mutant(
        "a window searched from the moment itself",
        "isthmus/windows.py",
        "        return (found for found in self._forward(moment - _MARGIN) if found > moment)\n",
        "        return (found for found in self._forward(moment) if found > moment)\n",
        (WINDOWS,),
    ),
    Mutant(
        "a probe that never answered is open",
        "isthmus/checkpoint/declared.py",
        "            return _gate(self.gate, closed=True, unknown=True, reason=SILENT)\n",
        "            return _gate(self.gate, closed=False)\n",
        (VERDICTS,),
    ),
    Mutant(
        "a probe's answer counts for ever",
        "isthmus/checkpoint/declared.py",
        "        if not verdict.counts(now_ms, self.interval_ms):\n",
        "        if not verdict.counts(verdict.asked_ms, self.interval_ms):\n",
        (VERDICTS,),
    ),
    Mutant(
        "a failed probe counts as open",
        "isthmus/consumer/gateprobing.py",
        '            said = Transient(error.message, cause="refused")\n',
        '            said = Answer(closed=False, words="")\n',
        (PROBING,),
    ),
    Mutant(
        "a failed attempt prolongs the answer before it",
        "isthmus/checkpoint/verdicts.py",
        "            self,\n            tried_ms=asked_ms,\n",
        "            self,\n            tried_ms=asked_ms,\n            asked_ms=asked_ms,\n",
        (VERDICTS,),
    ),
    Mutant(
        "a probe read once at start",
        "isthmus/consumer/gateprobing.py",
        "        while not stop.wait(self.turn()):\n            pass\n",
        "        self.turn()\n        stop.wait(86_400)\n",
        (PROBING,),
    ),
    Mutant(
        "an answer that was under way for hours counts",
        "isthmus/consumer/gateprobing.py",
        "        if took_ms > self._gate.interval_ms:\n",
        "        if took_ms < 0:\n",
        (PROBING,),
    ),
    Mutant(
        "null means open",
        "isthmus/checkpoint/verdicts.py",
        '        raise ValueError("is null")\n',
        "        return False\n",
        (VERDICTS,),
    ),
    Mutant(
        "only the first row of a probe counts",
        "isthmus/console/gateprobes.py",
        "    if any(closed):\n",
        "    if closed and closed[0]:\n",
        (PROBES,),
    ),
    Mutant(
        "a page of any status is an answer",
        "isthmus/console/gateprobes.py",
        "                if response.status != _OK:\n",
        "                if response.status == 0:\n",
        (PROBES,),
    ),
    Mutant(
        "a window stands in for an item that must be there",
        "isthmus/checkpoint/gates.py",
        "        known = {gate.covers for gate in self._gates if not gate.declared}\n",
        "        known = {gate.covers for gate in self._gates}\n",
        (VERDICTS,),
    ),
    Mutant(
        "the mirror of a declared gate opens while it is closed",
        "isthmus/consumer/gatemirror.py",
        " and not (closed and self._ends_soon(last, gate, now_ms)):\n",
        ":\n",
        (PROBING,),
    ),
    Mutant(
        "the mirror of a declared gate stays closed for ever",
        "isthmus/consumer/gatemirror.py",
        "        until_ms = _earlier(now_ms + LENDS_MS, gate.until_ms) if closed else None\n",
        "        until_ms = gate.until_ms\n",
        (PROBING,),
    ),
)
