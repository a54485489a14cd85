"""What is done with a request, in whatever protocol it came: the plan is asked, the fault happens, and is counted."""

from typing import Final, Protocol

from isthmus.console.proxy import wire
from isthmus.console.proxy.behaviour import Act, Exchange, Struck, act
from isthmus.console.proxy.kinds import STREAMED, Breaks, Kind
from isthmus.console.proxy.messages import BadMessage, Request, Response
from isthmus.console.proxy.planned import TARGET, Plan

ANSWER_SECONDS: Final = 60.0
"""How long the real service may take."""
NO_ANSWER: Final = (wire.Gone, BadMessage, TimeoutError, ValueError, LookupError)
"""The real service gave none, or none that can be understood."""


class Client(Exchange, Protocol):
    """Who sent a request, and waits. An answer that could not be given raises `OSError` or `Gone`."""

    async def answer(self, response: Response) -> None:
        """Give an answer."""
        ...

    async def break_off(self, breaks: Breaks) -> None:
        """Give none: the connection is reset, or what of it the protocol allows."""
        ...

    async def pass_on(self, cut: int | None) -> bool:
        """Give the real service's answer, or break off where it gave none.

        With `cut`, break off after so many bytes of its body. Give whether that happened.
        """
        ...


async def serve(plan: Plan, client: Client) -> None:
    """Serve one request. Every fault that struck it is counted once it has had its effect, else put back."""
    due = plan.due(client.request)
    try:
        while due and due[0].kind is Kind.LATENCY:
            await client.wait(due[0].seconds())
            plan.fired(due.pop(0))
        if not due:
            await client.pass_on(None)
        elif await _struck(client, due[0]):
            plan.fired(due.pop())
    finally:
        for struck in due:
            plan.put_back(struck)


async def _struck(client: Client, struck: Struck) -> bool:
    """Let a fault happen; say whether it has had its effect. An answer that could not be given was no fault: raises."""
    done = await _acted(struck, client)
    if done.cut is not None:
        return await client.pass_on(done.cut)
    if done.answer is not None:
        await client.answer(done.answer)
        return done.fired
    await client.break_off(struck.manner.breaks)
    try:
        return await done.later() if done.later is not None else done.fired
    except NO_ANSWER:
        return False


async def _acted(struck: Struck, client: Client) -> Act:
    try:
        return await act(struck, client)
    except NO_ANSWER:
        return Act(None, fired=False)


def is_streamed(request: Request) -> bool:
    """Say whether the answer has no end for minutes."""
    return request.field(TARGET).rpartition(".")[2] in STREAMED
