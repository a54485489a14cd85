"""`isthmus brake`: see whether consumption holds because too much was to be parked, and let it go on."""

from pathlib import Path

import click

from isthmus.checkpoint.brakes import BrakeNote, Word
from isthmus.clock import SystemClock, rfc3339
from isthmus.console.braking import note_as_json
from isthmus.console.commands.options import config_option, json_option
from isthmus.console.commands.output import console, print_json, table
from isthmus.console.exits import Exit
from isthmus.console.lot.person import who as who_sits_here
from isthmus.console.wiring import Wiring
from isthmus.errors import Missing
from isthmus.settings import load


@click.group()
def brake() -> None:
    r"""See the park brake, and release it.

    More than consumer.park_brake keys that were to be parked for one reason within a minute are a bad release, and not
    bad data: then all processes hold what they read, and nothing is lost. They go on by themselves when the cause is
    gone, or when a person releases them.

    \b
    isthmus brake status
    isthmus brake release --reason constraint --why "the back office sent a bad export"
    """


@brake.command()
@config_option
@json_option
def status(config: Path, *, as_json: bool) -> int:
    r"""Show for which reasons the brake is on, and when it was before.

    Only reads. Exit code 0, whether it is on or not.

    \b
    isthmus brake status
    isthmus brake status --json | jq '.[] | select(.state == "on")'

    \b
    With --json, a list of one object for each reason for which it was ever on:
      reason, state        on; released: by a person; eased: the cause is gone
      number               how often it was on for this reason
      since, shard, sequence, keys
                           when it went on, where, and how many keys were parked in the minute before
      who, why, until      who released it, why and when; else empty or null
    """
    wiring = Wiring(load(config), patient=False)
    notes = sorted(wiring.checkpoints().brakes.read_all().values(), key=_on_first)
    if as_json:
        print_json([note_as_json(note) for note in notes])
        return Exit.DONE
    if not notes:
        console().print("The park brake was never on.")
        return Exit.DONE
    console().print(
        table(
            ("REASON", "STATE", "SINCE", "SHARD", "KEYS", "UNTIL", "WHO", "WHY"),
            [
                (
                    note.reason,
                    note.word.value,
                    rfc3339(note.since_ms),
                    note.shard,
                    f"{note.keys:,}",
                    "-" if note.until_ms is None else rfc3339(note.until_ms),
                    note.who or "-",
                    note.why or "-",
                )
                for note in notes
            ],
        )
    )
    return Exit.DONE


@brake.command()
@config_option
@click.option("--reason", metavar="REASON", help="Only this one. By default every reason for which it is on.")
@click.option("--why", required=True, metavar="TEXT", help="Why, for whoever asks later.")
@click.option("--who", metavar="NAME", help="Who does it. By default your login name and this host.")
@json_option
def release(config: Path, reason: str | None, why: str, who: str | None, *, as_json: bool) -> int:
    r"""Let consumption go on: what is poison is parked, however much it is.

    Every process sees it within 3 s. It counts for these reasons until a minute has passed in which no more keys than
    the limit were parked; then the brake is armed again. Safe to repeat. Exit code 3 for a reason for which it was
    never on.

    \b
    isthmus brake release --why "bad export, ticket 4711"
    isthmus brake release --reason no-airport --why "the translator is mended, retried later"

    \b
    With --json: a list of what was released now, as `isthmus brake status --json` shows it.
    """
    wiring = Wiring(load(config), patient=False)
    brakes = wiring.checkpoints().brakes
    notes = brakes.read_all()
    if reason is not None and reason not in notes:
        raise Missing(f"The park brake was never on for {reason!r}.", hint="See `isthmus brake status`.")
    on = [note for note in notes.values() if note.word is Word.ON and reason in {None, note.reason}]
    name, now_ms = who or who_sits_here(), SystemClock().now_ms()
    done = [brakes.let_off(released(note, name, why, now_ms)) for note in on]
    if as_json:
        print_json([note_as_json(note) for note in done])
        return Exit.DONE
    for note in done:
        console().print(f"released: {note.reason}, on since {rfc3339(note.since_ms)}; it goes on within 3 s")
    if not done:
        console().print("The park brake is not on: nothing was released.")
    return Exit.DONE


def released(note: BrakeNote, who: str, why: str, now_ms: int) -> BrakeNote:
    """Give the note as it is once this time is released."""
    return BrakeNote(
        note.reason, note.number, Word.RELEASED, note.shard, note.sequence, note.keys, note.since_ms, who, why, now_ms
    )


def _on_first(note: BrakeNote) -> tuple[bool, str]:
    return note.word is not Word.ON, note.reason
