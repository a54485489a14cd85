"""`isthmus`: the command line."""

import sys
from collections.abc import Sequence
from importlib.metadata import version

import click
from rich.console import Console

from isthmus.console.commands.check import check
from isthmus.console.commands.demo import demo
from isthmus.console.commands.peek import peek
from isthmus.console.commands.run import consume, produce, run
from isthmus.console.commands.setup import setup
from isthmus.console.commands.status import status
from isthmus.console.commands.trace import trace
from isthmus.console.exits import Exit, exit_of
from isthmus.errors import IsthmusError, WrongSettings
from isthmus.lifecycle import Stopped


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("isthmus"), prog_name="isthmus")
def cli() -> None:
    r"""Keep a front office in step with its back office.

    Isthmus detects modifications in back-office systems, translates them, carries them over Amazon Kinesis Data
    Streams and applies them to the front office's own store: once per transaction ID, in order per entity, with
    nothing lost.

    \b
    Begin here:
      isthmus demo              a month of real flights, from a legacy table to a front office, checked
    With settings of your own (isthmus.toml):
      isthmus check             are the settings right, is everything there?
      isthmus setup             make stream, tables, queue and bucket
      isthmus run               produce and consume in one process
      isthmus status            where does it stand?
      isthmus trace KEY         what became of this entity's changes?

    \b
    Exit codes: 0 done, 1 failed, 2 wrong settings, 3 a resource is missing, 4 held by another process,
    130 and 143 ended by Ctrl-C and SIGTERM.
    """


for command in (demo, setup, check, run, produce, consume, status, trace, peek):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and end the process with its exit code."""
    sys.exit(invoke(arguments))


def invoke(arguments: Sequence[str] | None = None) -> int:
    """Run a command; print what went wrong, and give the exit code."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        code = cli.main(args=arguments, prog_name="isthmus", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt, Stopped):
        return Exit.INTERRUPTED
    except WrongSettings as error:
        console.print("[bold red]The settings are wrong; nothing was started.[/]")
        for mistake in error.mistakes:
            console.print(f"  {mistake}", markup=False)
        return exit_of(error)
    except IsthmusError as error:
        console.print(f"isthmus: {error}", markup=False, style="red")
        return exit_of(error)
    return code if isinstance(code, int) else Exit.DONE


if __name__ == "__main__":
    main()
