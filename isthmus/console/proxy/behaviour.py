"""What each kind of fault does to one request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from isthmus.chance import Chance, seeded_chance
from isthmus.console.proxy import answers
from isthmus.console.proxy.kinds import Kind, Manner, Service
from isthmus.console.proxy.messages import Request, Response
from isthmus.console.proxy.parts import BATCHES

HANGS_AT_LEAST = 1.5
"""Seconds without an answer, so that a request counts as one that timed out: who leaves sooner was ended."""
HANGS_AT_MOST = 3.0
"""Seconds until the connection of who goes on waiting is reset. An owner that cannot beat for 5 s has lost its lease:
less than that, and more than `CLIENTS_WAIT`."""
CLIENTS_WAIT = 2.0
"""Seconds: the time-out of our own clients behind the proxy, so that it is they who give up."""
LATE_SECONDS = (1.5, 4.0)
"""How long after its connection was lost a request arrives: later than the first repetitions of it."""


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that strikes a request."""

    kind: Kind
    service: Service
    operation: str
    seed: str
    """For what the fault itself leaves to chance."""
    manner: Manner
    origin: object
    """What whoever planned it knows it by."""

    def seconds(self) -> float:
        """Give how long it takes, by its seed."""
        if not self.manner.jitter:
            return self.manner.seconds
        return self.manner.seconds + seeded_chance(f"{self.seed}/seconds").random() * self.manner.jitter


class Exchange(Protocol):
    """One request of a client, and what may be done with it."""

    request: Request

    async def forward(self, request: Request) -> Response:
        """Have it answered by the real service. Of an answer without an end only the head is waited for."""
        ...

    async def wait(self, seconds: float) -> None:
        """Let so long pass."""
        ...

    async def hang(self, seconds: float | None) -> float:
        """Say nothing for so long, or until the client gives up. Give how many seconds that was."""
        ...


Later = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Act:
    """What becomes of a request that was struck."""

    answer: Response | None
    """What the client gets; None: a connection that is reset."""
    fired: bool = True
    """Whether the fault had its effect. Not: the answer is the one without the fault."""
    later: Later | None = None
    """What is still to be done without the client; gives whether the fault had its effect after all."""
    cut: int | None = None
    """The service's own answer, and the connection is reset after so many bytes of it, if there are more."""


async def act(struck: Struck, exchange: Exchange) -> Act:  # noqa: PLR0911 - one line a kind
    """Let a fault happen. Latency is none: the request only waits, see `Struck.seconds`."""
    match struck.kind:
        case Kind.RESET:
            return Act(None)
        case Kind.PARTIAL:
            return await _refuse_some(struck, exchange)
        case Kind.LATE:
            return _deliver_late(struck, exchange)
        case Kind.ANSWER_LOST:
            return await _lose_the_answer(struck, exchange)
        case Kind.HALF_OPEN:
            return Act(None, fired=await exchange.hang(struck.seconds() or None) >= struck.manner.least)
        case Kind.CUT:
            return Act(None, cut=struck.manner.bytes)
        case Kind.REPEAT:
            return await _repeat(exchange)
        case _:
            return Act(answers.refusal(struck.service, struck.kind, struck.manner.code, exchange.request.method))


async def _refuse_some(struck: Struck, exchange: Exchange) -> Act:
    batch, request = BATCHES[struck.operation], exchange.request
    refused = some_places(batch.entries(request), seeded_chance(struck.seed))
    answer = await exchange.forward(batch.without(request, refused.keys()))
    if answer.status != answers.OK:
        return Act(answer, fired=False)
    return Act(batch.merged(request, answer, refused))


def some_places(entries: int, chance: Chance) -> dict[int, str]:
    """Choose entries to refuse, each with its error: at least one, and not all. There must be two or more."""
    refused = [place for place in range(entries) if chance.random() < 0.5]  # noqa: PLR2004 - a coin
    if len(refused) in {0, entries}:
        refused = [int(chance.random() * entries)]
    return {place: answers.THROTTLED if chance.random() < 0.5 else answers.INTERNAL for place in refused}  # noqa: PLR2004 - same


def _deliver_late(struck: Struck, exchange: Exchange) -> Act:
    async def later() -> bool:
        await exchange.wait(struck.seconds())
        return answers.took_effect(struck.service, await exchange.forward(exchange.request))

    return Act(None, fired=False, later=later)


async def _lose_the_answer(struck: Struck, exchange: Exchange) -> Act:
    answer = await exchange.forward(exchange.request)
    # Only the answer to what took effect is worth losing.
    return Act(None) if answers.took_effect(struck.service, answer) else Act(answer, fired=False)


async def _repeat(exchange: Exchange) -> Act:
    answer = await exchange.forward(exchange.request)
    repeated = answers.with_the_same_page_next(exchange.request, answer)
    return Act(answer, fired=False) if repeated is None else Act(repeated)
