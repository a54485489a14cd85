"""What each fault does to one request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from isthmus.chance import Chance, seeded_chance
from isthmus.console.proxy import answers
from isthmus.console.proxy.faults import Fault
from isthmus.console.proxy.messages import Request, Response
from isthmus.console.proxy.schedule import Strike

HANGS_AT_LEAST = 1.5
"""Seconds without an answer, so that a request counts as one that timed out: who leaves sooner was ended."""
HANGS_AT_MOST = 3.0
"""Seconds until the connection of who goes on waiting is reset. An owner that cannot beat for 5 s has lost its lease:
less than that, and more than `CLIENTS_WAIT`."""
CLIENTS_WAIT = 2.0
"""Seconds: the time-out of our own clients behind the proxy, so that it is they who give up."""
LATE_SECONDS = (1.5, 4.0)
"""How long after its connection was lost a request arrives: later than the first repetitions of it."""
_FEWEST_TO_FAIL_IN_PART = 2


class Exchange(Protocol):
    """One request of a client, and what may be done with it."""

    request: Request

    async def forward(self, request: Request) -> Response:
        """Have it answered by the real service."""
        ...

    async def wait(self, seconds: float) -> None:
        """Let so long pass."""
        ...

    async def hang(self, seconds: float) -> float:
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


def possible(fault: Fault, request: Request) -> bool:
    """Say whether a fault can happen to this request."""
    return fault is not Fault.PUT_PARTIAL or answers.entries_of(request) >= _FEWEST_TO_FAIL_IN_PART


async def act(strike: Strike, exchange: Exchange) -> Act:
    """Let a fault happen."""
    chance = seeded_chance(strike.seed)
    match strike.fault:
        case Fault.PUT_PARTIAL:
            return await _refuse_some(exchange, chance)
        case Fault.PUT_DELIVERED_LATE:
            return _deliver_late(exchange, chance)
        case (
            Fault.PUT_ACCEPTED_THEN_RESET
            | Fault.WATERMARK_ANSWER_LOST
            | Fault.OWNERSHIP_ANSWER_LOST
            | Fault.CHECKPOINT_ANSWER_LOST
        ):
            return await _lose_the_answer(exchange)
        case Fault.PUT_TIMEOUT | Fault.WATERMARK_TIMED_OUT | Fault.OWNERSHIP_TIMED_OUT | Fault.CHECKPOINT_TIMED_OUT:
            return Act(None, fired=await exchange.hang(HANGS_AT_MOST) >= HANGS_AT_LEAST)
        case Fault.READ_REPEATED:
            return await _repeat(exchange)
        case _:
            return Act(_REFUSALS[strike.fault])


_BY_PLAN = "By the plan of the fault proxy."
_DYNAMODB = answers.error(500, "com.amazonaws.dynamodb.v20120810#InternalServerError", _BY_PLAN)
_REFUSALS = {
    Fault.PUT_THROTTLED: answers.error(400, answers.THROTTLED, _BY_PLAN),
    Fault.PUT_500: answers.error(500, answers.INTERNAL, _BY_PLAN),
    Fault.WATERMARK_FAILED: _DYNAMODB,
    Fault.OWNERSHIP_FAILED: _DYNAMODB,
    Fault.CHECKPOINT_FAILED: _DYNAMODB,
    Fault.READ_FAILED: answers.error(500, answers.INTERNAL, _BY_PLAN),
    Fault.READ_THROTTLED: answers.error(400, answers.THROTTLED, _BY_PLAN),
    Fault.ITERATOR_EXPIRED: answers.error(400, "ExpiredIteratorException", _BY_PLAN),
}


async def _refuse_some(exchange: Exchange, chance: Chance) -> Act:
    refused = some_places(answers.entries_of(exchange.request), chance)
    answer = await exchange.forward(answers.without_entries(exchange.request, refused.keys()))
    if answer.status != answers.OK:
        return Act(answer, fired=False)
    return Act(answers.with_refused_entries(answer, refused))


def some_places(entries: int, chance: Chance) -> dict[int, str]:
    """Choose entries to refuse, each with its error: at least one, and not all. There must be two or more."""
    refused = [place for place in range(entries) if chance.random() < 0.5]  # noqa: PLR2004 - a coin
    if len(refused) in {0, entries}:
        refused = [int(chance.random() * entries)]
    return {place: answers.THROTTLED if chance.random() < 0.5 else answers.INTERNAL for place in refused}  # noqa: PLR2004 - same


def _deliver_late(exchange: Exchange, chance: Chance) -> Act:
    soonest, latest = LATE_SECONDS
    seconds = soonest + chance.random() * (latest - soonest)

    async def later() -> bool:
        await exchange.wait(seconds)
        return answers.refuses_none(await exchange.forward(exchange.request))

    return Act(None, fired=False, later=later)


async def _lose_the_answer(exchange: Exchange) -> Act:
    answer = await exchange.forward(exchange.request)
    # Only the answer to what took effect is worth losing.
    return Act(None) if answers.refuses_none(answer) else Act(answer, fired=False)


async def _repeat(exchange: Exchange) -> Act:
    answer = await exchange.forward(exchange.request)
    repeated = answers.with_the_same_page_next(exchange.request, answer)
    return Act(answer, fired=False) if repeated is None else Act(repeated)
