"""`isthmus gate`: keep changes back for a while, and let them go again."""

import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from isthmus.checkpoint.gates import Covers, Gate, Gates, Mode
from isthmus.clock import SystemClock, from_rfc3339, rfc3339
from isthmus.console.commands.options import config_option, json_option
from isthmus.console.commands.output import console, print_json, table
from isthmus.console.declaring import declared_of, standing_gates
from isthmus.console.exits import Exit
from isthmus.console.gatelist import deed_as_json, gates_as_json, named, next_of, what_probe_says
from isthmus.console.lot.person import who
from isthmus.console.wiring import Wiring, reader_of, source_attribute, store_of
from isthmus.consumer.stores.held import HeldGate, HeldReader, Holding
from isthmus.errors import IsthmusError, Refused
from isthmus.settings import Settings, load

_AHEAD: Final = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@click.group()
def gate() -> None:
    r"""Close a gate before a process, a source, an entity type or a key prefix, and open it again.

    While a gate is closed nothing that it covers takes effect. It is kept in order in the front office, everything else
    goes on, and when the gate opens it is applied, each key's oldest change first. The settings must say
    `watched = true` under [gate], or declare a gate.

    A gate that the settings declare ([gates.NAME]) closes and opens by itself, by a window or by what its probe says:
    `list` shows it, and no command opens it.

    \b
    isthmus gate close --process billing --reason "closing the books" --until 12h
    isthmus gate list
    isthmus gate open --process billing --reason "books are closed"
    isthmus gate close --everything --wait --reason "moving the database"
    isthmus gate history
    """


def _until(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """Give the milliseconds since 1970 for RFC 3339 text, or for how long from now, as in 12h."""
    if value is None:
        return None
    now_ms = SystemClock().now_ms()
    ahead = _AHEAD.fullmatch(value)
    try:
        until_ms = now_ms + int(ahead[1]) * _UNITS_MS[ahead[2]] if ahead else from_rfc3339(value)
    except (ValueError, OverflowError):
        until_ms = None
    if until_ms is None:
        raise click.BadParameter(f"{value!r} is no moment: give RFC 3339, as 2013-02-01T06:00:00Z, or 30m, 12h, 2d.")
    if until_ms <= now_ms:
        raise click.BadParameter(f"{value!r} is over already.")
    return until_ms


def _covering(function: Callable[..., int]) -> Callable[..., int]:
    """Add the options that say what a gate covers; the function gets `config` and `covers`, checked."""

    @wraps(function)
    def collected(
        config: Path,
        process: str | None,
        source: str | None,
        entity: str | None,
        key_prefix: str | None,
        *,
        everything: bool,
        **others: Any,
    ) -> int:
        settings = load(config)
        said = (process, source, entity, key_prefix)
        if everything == any(each is not None for each in said):
            raise click.UsageError(
                "Say what the gate covers: --process, --source, --entity, --key-prefix; or --everything."
            )
        _refuse_unknown(settings, process, source, entity)
        named = "" if source is None else source_attribute(settings.application, source)
        covers = Covers(process or "", named, entity or "", key_prefix or "")
        return function(settings=settings, covers=covers, **others)

    made: Callable[..., int] = collected
    for option in (
        click.option("--everything", is_flag=True, help="The whole stream."),
        click.option("--key-prefix", metavar="TEXT", help="Entity keys that begin so."),
        click.option("--entity", metavar="TYPE", help="Changes of this entity type."),
        click.option("--source", metavar="SOURCE", help="Changes of this source, by its name in the settings."),
        click.option("--process", metavar="PROCESS", help="Changes of entity types of this process."),
        config_option,
    ):
        made = option(made)
    return made


def _refuse_unknown(settings: Settings, process: str | None, source: str | None, entity: str | None) -> None:
    # A gate for a name that nobody has keeps nothing back, and whoever closed it would believe it did.
    processes = {section.process or name for name, section in settings.entities.items()}
    for option, said, known in (
        ("--process", process, processes),
        ("--source", source, settings.sources.keys()),
        ("--entity", entity, settings.entities.keys()),
    ):
        if said is not None and said not in known:
            raise click.UsageError(f"{option} {said}: the settings know {', '.join(sorted(known))}.")


@gate.command()
@_covering
@click.option("--reason", required=True, metavar="TEXT", help="Why, for everybody who asks.")
@click.option("--until", metavar="MOMENT", callback=_until, help="Open by itself then: 12h (from now), or RFC 3339.")
@click.option("--wait", is_flag=True, help="Let the shards stand instead of holding. Only with --everything.")
@json_option
def close(settings: Settings, covers: Covers, reason: str, until: int | None, *, wait: bool, as_json: bool) -> int:
    r"""Close a gate. Closing a closed one gives it another reason and another end.

    After 2 s nothing that it covers takes effect any more; with `strict = true` under [gate], once this returns.
    With several options a change is covered where all of them apply.

    \b
    isthmus gate close --process billing --reason "closing the books"
    isthmus gate close --entity flight --key-prefix flight/UA --reason "audit" --until 2013-02-01T06:00:00Z
    isthmus gate close --everything --wait --reason "moving the database" --until 2h

    \b
    With --json: the gate as `isthmus gate list --json` shows it.
    """
    if wait and not covers.everything:
        raise click.UsageError("--wait lets every shard stand: it goes with --everything alone.")
    if not (wait or settings.gate.hold):
        raise Refused(
            "The settings say hold = false under [gate]: nothing can be held.", hint="Use --everything --wait."
        )
    mode = Mode.WAIT if wait else Mode.HOLD
    return _change(settings, covers, closed=True, mode=mode, reason=reason, until_ms=until, as_json=as_json)


@gate.command("open")
@_covering
@click.option("--reason", default="", metavar="TEXT", help="Why, for the history.")
@json_option
def open_(settings: Settings, covers: Covers, reason: str, *, as_json: bool) -> int:
    r"""Open a gate. What it held is applied from now on, in order, while new changes go on behind it.

    Name it with the same options as it was closed with; see `isthmus gate list`. A gate that the settings declare
    opens by itself, or when they say something else: this is refused for it, and has no effect on it.

    \b
    isthmus gate open --process billing --reason "books are closed"
    isthmus gate open --everything

    \b
    With --json: the gate as `isthmus gate list --json` shows it.
    """
    return _change(settings, covers, closed=False, mode=Mode.HOLD, reason=reason, until_ms=None, as_json=as_json)


@gate.command("list")
@config_option
@json_option
def list_(config: Path, *, as_json: bool) -> int:
    r"""Show every gate that was ever closed, or is declared, since when and why, and what is held for it. Only reads.

    \b
    isthmus gate list
    isthmus gate list --json | jq -r '.gates[] | select(.state == "closed").gate'

    \b
    With --json, one object:
      gates  [{gate, kind, covers {process, source, entity, prefix}, state, mode, since, until, changes, probe, who,
             reason, held_keys, held_changes}], what is closed first
             kind: hand, window, probe; state: open, closed, unknown (closed: its item is missing, its probe silent)
             changes: when a window opens, or closes, next
             probe: {said, asked, trouble, failing_since, by}: the last answer, and why there is none since; as those
             who consume wrote it down: this asks nobody (`isthmus check` does)
             held_*: what waits for this gate; null where the front office does not answer
    What came behind a held change is held for the gate `behind`; see `isthmus status`.
    """
    settings = load(config)
    wiring = Wiring(settings, patient=False)
    rows = standing_gates(wiring, wiring.checkpoints(), _held(settings))
    if as_json:
        print_json({"gates": rows})
    else:
        _print(rows)
    return Exit.DONE


@gate.command()
@config_option
@json_option
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="How many to show.")
def history(config: Path, *, as_json: bool, limit: int) -> int:
    r"""Show who closed and opened which gate, when and why, the newest first. Only reads.

    \b
    isthmus gate history
    isthmus gate history --json | jq '.history[0]'

    \b
    With --json, one object:
      history  [{at, gate, did, mode, who, reason, until}]; did: closed, opened
               A gate that opened by itself at its `until` has no row for that.
    """
    found = [deed_as_json(each) for each in _gates(load(config)).history(most=limit)]
    if as_json:
        print_json({"history": found})
        return Exit.DONE
    out = console()
    if not found:
        out.print("no gate was ever closed")
        return Exit.DONE
    rows = [(row["at"], row["gate"], row["did"], row["who"], row["until"] or "-", row["reason"]) for row in found]
    out.print(table(("AT", "GATE", "DID", "WHO", "UNTIL", "REASON"), rows))
    return Exit.DONE


def _change(
    settings: Settings, covers: Covers, *, closed: bool, mode: Mode, reason: str, until_ms: int | None, as_json: bool
) -> int:
    if not settings.watches_gates:
        raise Refused(
            "The settings watch no gates: consumers would go on as if nothing were closed.",
            hint="Set watched = true under [gate], and start the consumers anew.",
        )
    gates, now_ms = _gates(settings), SystemClock().now_ms()
    standing = {each.covers: each for each in gates.read_all()}.get(covers)
    if not closed and (standing is None or not standing.is_closed(now_ms)):
        _refuse_declared(settings, covers, standing)
    if not closed and standing is not None and not standing.is_closed(now_ms):
        changed = standing
    else:
        changed = (standing or Gate(covers, closed=False)).changed(
            closed=closed, mode=mode, who=who(), reason=reason, now_ms=now_ms, until_ms=until_ms
        )
        gates.change(changed)
    _mirror(settings, changed)
    if as_json:
        print_json(gates_as_json([changed], [], _held(settings), now_ms)[0])
        return Exit.DONE
    if changed is standing:
        click.echo(f"The gate {covers.name} is open already.")
    elif closed:
        end = "" if until_ms is None else f" until {rfc3339(until_ms)}"
        when = "Nothing that it covers takes effect from now on." if settings.gate.strict else "It counts within 2 s."
        click.echo(f"The gate {covers.name} is closed{end}. {when}")
    else:
        names = declared_of(settings, dict).covering(covers)
        others = "".join(f" But {name}, which the settings declare, covers the same." for name in names)
        click.echo(f"The gate {covers.name} is open. What it held is applied in order: see isthmus gate list.{others}")
    return Exit.DONE


def _refuse_declared(settings: Settings, covers: Covers, standing: Gate | None) -> None:
    # Opening what nobody closed would look as if it had opened the other one.
    needed = standing is None and covers in {Covers(process=name) for name in settings.gate.processes}
    if not needed and (names := declared_of(settings, dict).covering(covers)):
        raise Refused(
            f"Nobody closed the gate {covers.name} by hand. {names[0]} covers the same, and no command opens it: it "
            "opens by itself, see `isthmus gate list`.",
            hint=f"If it must open now, change [gates.{names[0]}] in the settings, and start the consumers anew.",
        )


def _mirror(settings: Settings, changed: Gate) -> None:
    """Write it beside what it guards. After the item: whoever reads that mirrors it too, should this break off."""
    if not settings.gate.strict:
        return
    store = store_of(settings, [])
    if not isinstance(store, Holding):
        raise Refused("Gates cannot be mirrored into this front office.", hint="Set strict = false under [gate].")
    try:
        store.mirror([changed])
    except IsthmusError as error:
        raise Refused(
            f"The gate {changed.name} was changed, but not beside what it guards: {error.message}",
            hint="It counts within 2 s all the same. Run the same command again to be sure of more.",
        ) from error


def _gates(settings: Settings) -> Gates:
    return Wiring(settings, patient=False).checkpoints().gates


def _held(settings: Settings) -> list[HeldGate] | None:
    try:
        reader = reader_of(settings, [])
        return reader.held_by_gate() if isinstance(reader, HeldReader) else []
    except IsthmusError:
        return None


def _print(rows: list[dict[str, Any]]) -> None:
    out = console()
    if not rows:
        out.print("no gate was ever closed")
        return
    cells = [
        (
            named(row),
            row["state"],
            row["mode"] if row["state"] != "open" else "-",
            row["since"] or "-",
            row["until"] or next_of(row) or "-",
            "?" if row["held_keys"] is None else f"{row['held_changes']:,} changes, {row['held_keys']:,} keys",
            row["who"] or "-",
            "; ".join(filter(None, (row["reason"], what_probe_says(row)))) or "-",
        )
        for row in rows
    ]
    out.print(table(("GATE", "STATE", "MODE", "SINCE", "UNTIL", "HELD", "WHO", "REASON"), cells))
