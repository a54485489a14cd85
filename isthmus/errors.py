"""Errors say what happens next. Their fields say where, their hint says what to run."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.retry import Backoff


class IsthmusError(Exception):
    """Every error of ours. `hint` is the command or the setting that mends it, or empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


UNKNOWN = "unknown"
"""The cause of an error that no table of an adapter knows. Tried again a few times, then it is a defect."""


HANDLER_HANGS = "handler-hangs"


class Transient(IsthmusError):  # noqa: N818 - the design's word
    """Tried again in place, with back-off, for ever.

    `cause` is a short, constant word for metrics, e.g. `throttled`. `backoff` is a schedule of its own, where it has
    one. With `attempts`, a change at which it comes so many times is `Poison` then, for the reason `cause`.
    """

    def __init__(
        self,
        message: str,
        *,
        cause: str = "transient",
        hint: str = "",
        backoff: "Backoff | None" = None,
        attempts: int | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.cause = cause
        self.backoff = backoff
        self.attempts = attempts


class TargetDown(Transient):
    """The other side is away: wait and probe. Never a dead letter."""

    def __init__(self, message: str, *, cause: str = "down", hint: str = "") -> None:
        super().__init__(message, cause=cause, hint=hint)


class HandlerHangs(Transient):
    """A handler took longer for one change than `consumer.handler_deadline` allows. What it did is undone."""

    def __init__(self, message: str, attempts: int | None = None) -> None:
        super().__init__(message, cause=HANDLER_HANGS, attempts=attempts)


class Poison(IsthmusError):  # noqa: N818 - the design's word
    """This change can never be applied as it is.

    Its key is parked. `reason` is a short, constant word; the message holds no row value.
    """

    def __init__(self, reason: str, message: str = "", *, hint: str = "") -> None:
        super().__init__(message or reason, hint=hint)
        self.reason = reason


class Fatal(IsthmusError):  # noqa: N818 - the design's word
    """The process stops, non-zero, and nothing is checkpointed."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in the settings: where, what stands there (empty: nothing, or a secret), what is allowed."""

    file: str
    path: str
    value: str
    allowed: str

    def __str__(self) -> str:
        stands_there = f"{self.path} = {self.value}" if self.value else self.path
        return f"{self.file}: {stands_there}: {self.allowed}"


class WrongSettings(Fatal):
    """The settings are wrong. All mistakes at once."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


class Missing(Fatal):
    """A resource is not there. `hint` names the command that makes it."""


class Refused(Fatal):
    """What is there does not fit what was asked, and going on would break a promise. `hint` names the way out."""


class HeldByAnother(Fatal):
    """Somebody else has it, and is alive. `holder` says who, in words."""

    def __init__(self, what: str, holder: str, *, hint: str = "") -> None:
        super().__init__(f"{what} is held by {holder}.", hint=hint)
        self.holder = holder


class OwnershipLost(IsthmusError):  # noqa: N818 - the design's word
    """You had it, and somebody has taken it. Stop at once: no further effect, no watermark, no checkpoint."""
