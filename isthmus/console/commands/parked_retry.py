"""`isthmus parked retry`: apply what is parked, now that its cause is mended."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Any, Final

import click

from isthmus.console.commands.options import config_option, json_option
from isthmus.console.commands.output import print_json
from isthmus.console.commands.parked_options import Chosen, beside, choosing, keys_in_words
from isthmus.console.exits import Exit
from isthmus.console.lot.opening import opened
from isthmus.console.lot.pacing import Pace
from isthmus.console.lot.patience import Patience
from isthmus.console.lot.retrying import Retried, Retrying
from isthmus.console.lot.walking import keys_of
from isthmus.console.resharding.showing import showing
from isthmus.console.signals import Signals
from isthmus.console.wiring import Lot, Wiring, lot_of
from isthmus.consumer.stores.lot import Selection
from isthmus.lifecycle import Stopped, ThreadStop
from isthmus.settings import load

_WAIT_SECONDS: Final = 60.0


@click.command()
@config_option
@choosing
@json_option
@click.option("--dry-run", is_flag=True, help="Do it, and undo it: say what would happen.")
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    metavar="CHANGES",
    help="At most so many changes a second. By default it rests for as long as it works.",
)
@click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(0),
    default=_WAIT_SECONDS,
    show_default=True,
    help="How many seconds to wait for a front office that is away.",
)
def retry(
    config: Path, chosen: Chosen, *, as_json: bool, dry_run: bool, rate: float | None, wait_seconds: float
) -> int:
    r"""Apply what is parked, key by key, once the cause is mended.

    Each key that has a change to which all options apply is tried, all that waits of it, in its order. A row that could
    not be translated is translated again, with the translator and the reference tables of now. A key stops at its
    first change that is poison again, and what waits behind that stays. Everything may go on meanwhile: a live change
    of a key comes before its redrive or after it, never between; so may a second `retry`.

    Ctrl-C ends it between two transactions; it may be killed at any point. What was done is done, and the same command
    goes on from there. A front office that is away is waited for; a back office whose reference tables are needed is
    not.

    Exit code 0 if all that was chosen is free, 5 if something is poison still.

    \b
    isthmus parked retry --reason unknown-airport --dry-run
    isthmus parked retry --reason unknown-airport
    isthmus parked retry --key flight/UA1545/2013-01-01/EWR
    isthmus parked retry --source flights --since 2h --rate 50 --json | jq .outcomes

    \b
    With --json, one object, at the end, however it ends:
      dry_run
      ended      done, interrupted or failed
      selected   how many keys there were at the beginning
      keys       {tried, freed, stopped, unfinished}
                 unfinished: what waits behind the first changes of a key was not tried
      stopped    [{reason, keys, first, message}]: keys that are poison again; first: one of them
      outcomes   {name: count} of changes. applied: took effect; duplicate, stale: had no need to; filtered: the
                 translator makes nothing of it; parked: poison still
      elsewhere  how many of the parked lie under another key now: theirs was not known before
    """
    wiring = Wiring(load(config))
    lot = lot_of(wiring.settings)
    if not chosen.said:
        raise click.UsageError(_what_there_is(lot))
    with soft_end(wiring.stop) as signals:
        patience = Patience(
            wait_seconds,
            clock=wiring.clock,
            stop=wiring.stop,
            chance=wiring.chance,
            say=lambda words: click.echo(words, err=True),
        )
        run = _Run(wiring, lot, patience, dry_run=dry_run, as_json=as_json)
        done = run.go(chosen.of(wiring.settings), Pace(rate, clock=wiring.clock, stop=wiring.stop))
        if not done:
            return signals.exit_code(Exit.INTERRUPTED)
    return Exit.DONE if run.told.all_free else Exit.PARKED


class _Run:
    def __init__(self, wiring: Wiring, lot: Lot, patience: Patience, *, dry_run: bool, as_json: bool) -> None:
        self.told = Retried()
        self._wiring = wiring
        self._lot = lot
        self._patience = patience
        self._dry_run = dry_run
        self._as_json = as_json
        self._selected = 0

    def go(self, selection: Selection, pace: Pace) -> bool:
        """Try the keys, and say what became of them. False: a stop came before the end."""
        ended = "failed"
        try:
            self._selected = sum(1 for _ in keys_of(self._lot, selection, ask=self._patience))
            if self._selected:
                self._try_all(selection, pace)
            ended = "done"
        except Stopped:
            ended = "interrupted"
        finally:
            self._tell(ended)
        return ended == "done"

    def _try_all(self, selection: Selection, pace: Pace) -> None:
        wiring = self._wiring
        with opened(wiring, ask=self._patience) as tools, showing(beside(), wiring.clock, quiet=False) as tell:
            retrying = Retrying(
                self._lot,
                tools.redriver,
                ask=self._patience,
                pace=pace,
                clock=wiring.clock,
                stop=wiring.stop,
                rehearse=self._dry_run,
            )
            self.told = retrying.told
            verb = "rehearsing" if self._dry_run else "retrying"
            tell(verb, 0, self._selected)
            retrying.run(selection, lambda told: tell(verb, told.tried, max(told.tried, self._selected)))

    def _tell(self, ended: str) -> None:
        if self._as_json:
            head = {"dry_run": self._dry_run, "ended": ended, "selected": self._selected}
            print_json({**head, **self.told.as_json()})
            return
        if ended == "done" and not self.told.tried:
            click.echo("Nothing that is parked fits.")
            return
        if self.told.tried:
            for line in lines_of(self.told.as_json(), dry_run=self._dry_run):
                click.echo(line)
        if ended == "interrupted":
            click.echo("Ended between two transactions. What was done is done; the same command goes on from there.")


def lines_of(told: dict[str, Any], *, dry_run: bool) -> list[str]:
    """Tell a person what became of the keys."""
    keys, outcomes = told["keys"], told["outcomes"]
    are, stopped = ("would be", "would stop") if dry_run else ("are", "stopped")
    parts = [f"{keys['freed']:,} {are} free"]
    if keys["stopped"]:
        parts.append(f"{keys['stopped']:,} {stopped}: poison again")
    if keys["unfinished"]:
        parts.append(f"{keys['unfinished']:,} not tried to the end")
    changes = ", ".join(f"{name} {count:,}" for name, count in outcomes.items()) or "none"
    lines = [f"{keys_in_words(keys['tried'])} tried: {', '.join(parts)}", f"changes: {changes}"]
    lines += [
        f"  {row['reason']}: {keys_in_words(row['keys'])}, the first is {row['first']}: {row['message']}"
        for row in told["stopped"]
    ]
    if told["elsewhere"]:
        lines.append(f"  {told['elsewhere']:,} of the parked changes {are} parked under another key, known only now")
    if dry_run:
        lines.append("Nothing was changed.")
    elif told["stopped"]:
        lines.append(f"Why: isthmus parked show {quote(told['stopped'][0]['first'])} --try")
    return lines


def _what_there_is(lot: Lot) -> str:
    reasons = lot.parked_by_reason()
    if not reasons:
        return "Say which: --reason, --key, --prefix, --source, --since, --until or --all. Nothing is parked now."
    rows = "".join(
        f"\n  --reason {each.reason}: {keys_in_words(each.keys)}, {each.changes:,} changes" for each in reasons
    )
    return f"Say which: by --key, --prefix, --source, --since, --until, --all, or one of these:{rows}"


@contextmanager
def soft_end(stop: ThreadStop) -> Iterator[Signals]:
    """Let Ctrl-C and SIGTERM ask for a stop, as long as this lasts."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signals = Signals(stop)
    signals.install()
    try:
        yield signals
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
