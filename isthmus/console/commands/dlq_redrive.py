"""`isthmus dlq redrive`: decide again what lies in the dead-letter queue."""

from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Any, Final

import click

from isthmus.console.commands.options import config_option, json_option
from isthmus.console.commands.output import print_json
from isthmus.console.commands.parked_options import beside
from isthmus.console.commands.parked_retry import soft_end
from isthmus.console.dlq.opening import mailbox_of, opened_letters
from isthmus.console.dlq.redriving import RedrivingLetters, Wanted
from isthmus.console.dlq.told import Told
from isthmus.console.exits import Exit
from isthmus.console.lot.pacing import Pace
from isthmus.console.lot.patience import Patience
from isthmus.console.resharding.showing import showing
from isthmus.console.wiring import Wiring
from isthmus.lifecycle import Stopped
from isthmus.settings import load

_WAIT_SECONDS: Final = 60.0
_DAY_MS: Final = 24 * 3600 * 1000


@click.command()
@config_option
@json_option
@click.option("--txn", "txns", multiple=True, metavar="TXN", help="Only this transaction ID. May be repeated.")
@click.option("--key", metavar="KEY", help="Only letters of this entity key.")
@click.option("--reason", metavar="WORD", help="Only letters of what was parked for this reason.")
@click.option("--all", "everything", is_flag=True, help="All letters.")
@click.option("--dry-run", is_flag=True, help="Do it, and undo it: say what would happen.")
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    metavar="CHANGES",
    help="At most so many changes a second. By default it rests for as long as it works.",
)
@click.option(
    "--limit",
    default=10_000,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="How many messages to look at. SQS lets nobody have more than 120,000 in hand.",
)
@click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(0),
    default=_WAIT_SECONDS,
    show_default=True,
    help="How many seconds to wait for a queue or a front office that is away.",
)
def redrive(
    config: Path,
    txns: Sequence[str],
    key: str | None,
    reason: str | None,
    *,
    as_json: bool,
    everything: bool,
    dry_run: bool,
    rate: float | None,
    limit: int,
    wait_seconds: float,
) -> int:
    r"""Decide again what lies in the dead-letter queue, once the cause is mended.

    Each letter to which all options apply is tried. What still waits in the parking lot is redriven there, with its key
    and in its order. Anything else goes through the whole decision again, with the translator, the reference tables
    and the contracts of now: it takes effect, or it did before, or a newer one did. Whatever is done twice, it takes
    effect once for each transaction ID. A message is deleted when what became of it is durable, and not before.

    What is poison still is parked: in the lot already, its message stays; parked now, its message goes, and `consume`
    sends a new one. What a closed gate keeps back stays (`gate-closed`). So does, untried, what is not in the lot while
    the park brake is on, or once this run has parked as many keys anew for one reason as may be parked in a minute
    (`park-brake`). A message that is not ours is named, counted and left as it is. Letters of what was parked longer
    ago than `store.longest_parking_days` are left: what would say whether they took effect may be forgotten.

    Ctrl-C ends it between two letters; it may be killed at any point. The same command goes on from there: what it had
    in hand comes back at once, or, where it was killed, after 5 minutes.

    Exit code 0 if nothing is left to do for all that was chosen, 5 if something is poison still, kept back by a gate
    or the park brake, too old, or without its event.

    \b
    isthmus dlq redrive --all --dry-run
    isthmus dlq redrive --reason unknown-airport
    isthmus dlq redrive --key flight/UA1545/2013-01-01/EWR
    isthmus dlq redrive --all --rate 50 --json | jq .outcomes

    \b
    With --json, one object, at the end, however it ends:
      dry_run, queue
      ended     done, interrupted or failed
      looked    how many messages were looked at
      more      whether --limit ended it
      letters   {chosen, done, parked, lost, old}
                parked: poison still, or kept back by a gate or the park brake; lost: without their event, in
                the lot neither; old: parked too long ago
      outcomes  {name: count} of changes, as `isthmus parked retry` tells them
      stopped   [{reason, letters, first, message}]: those that are parked; first: the key of one of them
      foreign   {messages, first}: how many messages are not ours, and the first of them: [{message, sent, bytes, why}]
    """
    wanted = Wanted(frozenset(txns), key, reason)
    if everything == (wanted != Wanted()):
        raise click.UsageError(
            "--all is all of them: leave the other options out, or --all."
            if everything
            else "Say which: --txn, --key, --reason or --all. What there is: isthmus dlq list"
        )
    wiring = Wiring(load(config))
    with soft_end(wiring.stop) as signals:
        run = _Run(wiring, wanted, dry_run=dry_run, as_json=as_json, limit=limit)
        if not run.go(Pace(rate, clock=wiring.clock, stop=wiring.stop), wait_seconds):
            return signals.exit_code(Exit.INTERRUPTED)
    return Exit.DONE if run.told.all_done else Exit.PARKED


class _Run:
    def __init__(self, wiring: Wiring, wanted: Wanted, *, dry_run: bool, as_json: bool, limit: int) -> None:
        self.told = Told()
        self._wiring = wiring
        self._wanted = wanted
        self._dry_run = dry_run
        self._as_json = as_json
        self._limit = limit
        self._queue = mailbox_of(wiring)[1]

    def go(self, pace: Pace, wait_seconds: float) -> bool:
        """Try the letters, and say what became of them. False: a stop came before the end."""
        ended = "failed"
        try:
            self._try_all(pace, wait_seconds)
            ended = "done"
        except Stopped:
            ended = "interrupted"
        finally:
            self._tell(ended)
        return ended == "done"

    def _try_all(self, pace: Pace, wait_seconds: float) -> None:
        wiring = self._wiring
        patience = Patience(
            wait_seconds,
            clock=wiring.clock,
            stop=wiring.stop,
            chance=wiring.chance,
            say=lambda words: click.echo(words, err=True),
        )
        longest_ms = wiring.settings.store.longest_parking_days * _DAY_MS
        with opened_letters(wiring, ask=patience) as tools, showing(beside(), wiring.clock, quiet=False) as tell:
            redriving = RedrivingLetters(
                tools,
                self._wanted,
                most=self._limit,
                not_before_ms=wiring.clock.now_ms() - longest_ms,
                ask=patience,
                pace=pace,
                clock=wiring.clock,
                stop=wiring.stop,
                rehearse=self._dry_run,
            )
            self.told = redriving.told
            about = min(self._limit, patience(tools.mailbox.size))
            verb = "rehearsing" if self._dry_run else "redriving"
            tell(verb, 0, about)
            redriving.run(lambda told: tell(verb, told.chosen, max(told.chosen, about)))

    def _tell(self, ended: str) -> None:
        if self._as_json:
            print_json({"dry_run": self._dry_run, "queue": self._queue, "ended": ended, **self.told.as_json()})
            return
        if ended == "failed" and not self.told.looked:
            return
        for line in lines_of(self.told.as_json(), dry_run=self._dry_run):
            click.echo(line)
        if ended == "interrupted":
            click.echo("Ended between two letters. What was done is done; the same command goes on from there.")


def lines_of(told: dict[str, Any], *, dry_run: bool) -> list[str]:
    """Tell a person what became of the letters."""
    letters = told["letters"]
    if not letters["chosen"]:
        lines = [f"No letter fits; {told['looked']:,} messages were looked at."]
    else:
        lines = [_letters(letters, dry_run=dry_run)]
        lines.append(
            "changes: " + (", ".join(f"{name} {count:,}" for name, count in told["outcomes"].items()) or "none")
        )
    lines += [
        f"  {row['reason']}: {row['letters']:,} letters, the first is of {row['first']}"
        + (f": {row['message']}" if row["message"] else "")
        for row in told["stopped"]
    ]
    lines += foreign_lines(told["foreign"]["messages"], told["foreign"]["first"])
    if told["more"]:
        lines.append("There may be more messages than were looked at: see --limit, or run it again.")
    if dry_run:
        lines.append("Nothing was changed.")
    elif told["stopped"]:
        lines.append(f"Why: isthmus parked show {quote(told['stopped'][0]['first'])} --try")
    return lines


def foreign_lines(count: int, first: Sequence[dict[str, Any]]) -> list[str]:
    """Tell of the messages that are not ours."""
    if not count:
        return []
    lines = [f"not ours, and left as they are: {count:,} messages"]
    lines += [f"  {row['message']}, {row['bytes']:,} bytes: {row['why']}" for row in first]
    return lines


def _letters(letters: dict[str, int], *, dry_run: bool) -> str:
    are = "would be" if dry_run else "are"
    parts = [f"{letters['done']:,} {are} done"]
    for name, words in (
        ("parked", "stopped"),
        ("lost", "came without their event"),
        ("old", "were parked too long ago"),
    ):
        if letters[name]:
            parts.append(f"{letters[name]:,} {words}")
    number = letters["chosen"]
    return f"{'1 letter' if number == 1 else f'{number:,} letters'} tried: {', '.join(parts)}"
