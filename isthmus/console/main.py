"""`isthmus`: the command line."""

import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

import click

from isthmus.console.exits import Exit, exit_of, way_to
from isthmus.console.lazily import LazyGroup
from isthmus.errors import IsthmusError, WrongSettings
from isthmus.lifecycle import Stopped
from isthmus.log import configure


@dataclass(slots=True)
class Asked:
    """What stands before the command."""

    debug: bool = False


_MODULES = "isthmus.console.commands"
COMMANDS = {
    **{
        name: f"{_MODULES}.{name}:{name}" for name in ("brake", "check", "demo", "dev", "dlq", "gate", "parked", "peek")
    },
    **{name: f"{_MODULES}.{name}:{name}" for name in ("resync", "setup", "shards", "status", "store", "trace")},
    **{name: f"{_MODULES}.run:{name}" for name in ("consume", "produce", "run")},
    "fan-out": f"{_MODULES}.fan_out:fan_out",
}
"""Where each command is."""


@click.group(
    cls=LazyGroup,
    lazily=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="isthmus", prog_name="isthmus")
@click.option("--debug", is_flag=True, help="Show where an error comes from. May show data of rows.")
@click.pass_obj
def cli(asked: Asked, *, debug: bool) -> None:
    r"""Keep a front office in step with its back office.

    Isthmus detects modifications in back-office systems, translates them, carries them over Amazon Kinesis Data
    Streams and applies them to the front office's own store: once per transaction ID, in order per entity, with
    nothing lost.

    \b
    Begin here:
      isthmus demo              a month of real flights, from a legacy table to a front office, checked
    With settings of your own (isthmus.toml, explained in docs/isthmus.example.toml):
      isthmus check             are the settings right, is everything there?
      isthmus setup             make stream, tables, queue and bucket
      isthmus run               produce and consume in one process
      isthmus status            where does it stand?
      isthmus trace KEY         what became of this entity's changes?
      isthmus parked list       what could not be applied, and why; then `retry`, once that is mended
      isthmus dlq list          copies of that in the dead-letter queue, should the front office have lost them
      isthmus brake status      too much was to be parked at once: is consumption held? then `release`
      isthmus gate close        keep changes of a process back for a while, in order; then `open`
      isthmus resync SOURCE     the translator was wrong: read all rows again
      isthmus shards advise     which shard is hot, and how many shards would serve
      isthmus dev up            stand-ins for AWS and a database, on this machine
      isthmus COMMAND --help    what it does, with examples

    \b
    Exit codes: 0 done, 1 failed, 2 wrong settings, 3 a resource is missing, 4 held by another process,
    5 something is parked still, 130 and 143 ended by Ctrl-C and SIGTERM.
    """
    asked.debug = debug
    # Until a command knows better: what a library has to say goes to stderr, never between a command's own lines.
    configure("text", "warning")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and end the process with its exit code."""
    sys.exit(invoke(arguments))


def invoke(arguments: Sequence[str] | None = None) -> int:
    """Run a command; print what went wrong, and give the exit code."""
    asked = Asked()
    try:
        code = cli.main(args=arguments, prog_name="isthmus", standalone_mode=False, obj=asked)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt, Stopped):
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our lines has seen enough. Nothing more may be written there, at the interpreter's end neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    except Exception as error:  # noqa: BLE001 - the last resort: a person gets a sentence, not a traceback
        _tell(error, debug=asked.debug)
        return exit_of(error)
    return code if isinstance(code, int) else Exit.DONE


def _tell(error: Exception, *, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    if isinstance(error, WrongSettings):
        click.secho("The settings are wrong; nothing was started.", err=True, fg="red", bold=True)
        for mistake in error.mistakes:
            click.echo(f"  {mistake}", err=True)
    elif isinstance(error, IsthmusError):
        click.secho(f"isthmus: {error}", err=True, fg="red")
    else:
        click.secho(f"isthmus: a defect: {type(error).__name__} at {way_to(error)}", err=True, fg="red")
        click.echo("Run it again as `isthmus --debug ...` to see all of it.", err=True)


if __name__ == "__main__":
    main()
