"""Gates that the settings declare: what they are, who asks their probes, and what commands tell of them."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from isthmus.checkpoint.declared import DeclaredGate, DeclaredGates, ProbeGate, WindowGate
from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.gates import Covers, Gate, Mode
from isthmus.checkpoint.process import this_process
from isthmus.checkpoint.verdicts import Verdict
from isthmus.clock import Clock, rfc3339
from isthmus.console.gatelist import gates_as_json
from isthmus.console.gateprobes import HttpProbe, SqlProbe
from isthmus.console.wiring import Wiring, source_attribute
from isthmus.consumer.gateprobing import Answer, Prober
from isthmus.consumer.stores.held import HeldGate
from isthmus.lifecycle import Stop
from isthmus.settings import Settings
from isthmus.settings.declared import Declared


def declared_of(settings: Settings, read: Callable[[], Mapping[str, Verdict]]) -> DeclaredGates:
    """Give the gates that the settings declare. `read` gives verdicts, and is called only where there is a probe."""
    windows, probes = [], []
    for name, section in settings.gates.items():
        gate = _gate(settings, name, section)
        window = section.window
        if window is not None:
            windows.append(WindowGate(gate, window))
        else:
            probes.append(ProbeGate(gate, section.question(name), round(section.interval * 1000)))
    return DeclaredGates(windows, probes, read)


def probe_of(settings: Settings, name: str) -> Callable[[], Answer]:
    """Give what asks a gate's probe. Raises `Fatal` for a database whose driver is not installed."""
    section = settings.gates[name]
    if section.sql is None:
        token = None if section.token is None else section.token.get_secret_value()
        return HttpProbe(section.url or "", section.field, token, section.timeout)
    own, borrowed = section.database_url, settings.sources.get(section.database_of or "")
    address = own if own is not None or borrowed is None else borrowed.url
    return SqlProbe(name, section.sql, "" if address is None else address.get_secret_value(), section.timeout)


def start_probing(wiring: Wiring, checkpoints: DynamoCheckpoints, stop: Stop) -> None:
    """Ask every probe whenever it is due, each one in a task of its own, until a stop is requested.

    Nobody waits for their end: a database of the user's that says nothing must not keep a process from stopping, and
    what they write is one conditional write each.
    """
    for prober in _probers(wiring, checkpoints):
        threading.Thread(target=prober.run, args=(stop,), name="gate probe", daemon=True).start()


class AskingGates:
    """The declared gates for a command that decides for a moment: it asks what is due itself, and then looks.

    So what it may do does not depend on whether a consumer runs.
    """

    def __init__(self, wiring: Wiring, checkpoints: DynamoCheckpoints, declared: DeclaredGates) -> None:
        self._declared = declared
        self._clock: Clock = wiring.clock
        self._due = dict.fromkeys(_probers(wiring, checkpoints), 0.0)

    def at(self, now_ms: int) -> list[Gate]:
        """Give each gate as it is now."""
        for prober, due in self._due.items():
            if self._clock.monotonic() >= due:
                self._due[prober] = self._clock.monotonic() + prober.turn()
        return self._declared.at(max(now_ms, self._clock.now_ms()))


def standing_gates(
    wiring: Wiring, checkpoints: DynamoCheckpoints, held: Sequence[HeldGate] | None
) -> list[dict[str, Any]]:
    """Give a row for every gate, people's and declared ones, by what consumers go by: no probe is asked.

    Raises as the checkpoint table does.
    """
    settings, now_ms = wiring.settings, wiring.clock.now_ms()
    declared = declared_of(settings, checkpoints.verdicts.read_all)
    verdicts = declared.verdicts()
    gates = [*checkpoints.gates.read_all(), *declared.by(verdicts, now_ms)]
    needed = [Covers(process=name) for name in settings.gate.processes]
    return gates_as_json(gates, needed, held, now_ms, _tellings(declared, verdicts, now_ms))


def _tellings(declared: DeclaredGates, verdicts: Mapping[str, Verdict], now_ms: int) -> dict[str, dict[str, Any]]:
    told: dict[str, dict[str, Any]] = {}
    for window in declared.windows:
        changes_ms = window.window.at(now_ms).changes_ms
        told[window.gate.name] = {"kind": "window", "changes": None if changes_ms is None else rfc3339(changes_ms)}
    for probe in declared.probes:
        verdict = verdicts.get(probe.question, Verdict(probe.question))
        told[probe.gate.name] = {"kind": "probe", "probe": _told(verdict)}
    return told


def _told(verdict: Verdict) -> dict[str, Any]:
    return {
        "said": verdict.said or None,
        "asked": rfc3339(verdict.asked_ms) if verdict.closed is not None else None,
        "trouble": verdict.why or ("" if verdict.closed is not None else "nobody has asked yet"),
        "failing_since": None if verdict.failing_ms is None else rfc3339(verdict.failing_ms),
        "by": verdict.who or None,
    }


def _gate(settings: Settings, name: str, section: Declared) -> DeclaredGate:
    source = "" if section.source is None else source_attribute(settings.application, section.source)
    covers = Covers(section.process or "", source, section.entity or "", section.key_prefix or "")
    return DeclaredGate(name, covers, Mode(section.mode), section.reason, section.owner)


def _probers(wiring: Wiring, checkpoints: DynamoCheckpoints) -> list[Prober]:
    probes = declared_of(wiring.settings, checkpoints.verdicts.read_all).probes
    if not probes:
        return []
    me = this_process("")
    return [
        Prober(
            probe,
            _Late(wiring.settings, probe.gate.name),
            checkpoints.verdicts,
            who=f"{me.host.partition('/')[0]}, process {me.pid}",
            clock=wiring.clock,
            chance=wiring.chance,
            watch=wiring.attempts.watch("gate_probe", probe.gate.name),
        )
        for probe in probes
    ]


class _Late:
    """A probe that is made when it is asked: what is wrong with it is an answer that is missing, and ends nobody."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._made: Callable[[], Answer] | None = None

    def __call__(self) -> Answer:
        if self._made is None:
            self._made = probe_of(self._settings, self._name)
        return self._made()
