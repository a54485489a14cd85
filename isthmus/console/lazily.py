"""A group of commands of which each is loaded when it is asked for.

Loading all of them takes five times as long as most of them need, and `isthmus` is run by scripts, again and again.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """`lazily` gives for each name where its command is, as `module:attribute`."""

    def __init__(self, *arguments: Any, lazily: Mapping[str, str], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._lazily = lazily
        taught(self)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names, in the order of the alphabet."""
        del ctx
        return sorted(self._lazily)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Give a command, or None where there is none of that name."""
        place = self._lazily.get(cmd_name)
        if place is not None and cmd_name not in self.commands:
            module, attribute = place.split(":")
            self.add_command(taught(getattr(import_module(module), attribute)), cmd_name)
        return super().get_command(ctx, cmd_name)

    def load_all(self) -> None:
        """Load every command: for whoever forks, or looks at all of them."""
        with click.Context(self) as context:
            for name in self._lazily:
                self.get_command(context, name)


def taught(command: click.Command) -> click.Command:
    """Make the help of a command, and of those below it, what click takes.

    Docstrings are raw, and click wants the character itself before a paragraph that keeps its lines.
    """
    command.help = (command.help or "").replace(r"\b", "\b")
    if isinstance(command, click.Group):
        for each in command.commands.values():
            taught(each)
    return command
