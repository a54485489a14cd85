"""All proxies of a user's plan together: in front of each service one, the rules shared."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from isthmus.console.proxy.kinds import Service
from isthmus.console.proxy.listening import Listener
from isthmus.console.proxy.planned import ByRules, Firing
from isthmus.console.proxy.postgres import PostgresFront
from isthmus.console.proxy.rules import Rule, Rules
from isthmus.console.proxy.server import Front
from isthmus.console.proxy.upstreams import Upstream
from isthmus.errors import Refused


class Wanted(NamedTuple):
    """What shall stand."""

    upstreams: Mapping[Service, Upstream]
    rules: Sequence[Rule]
    seed: int
    first_port: int | None
    """Of the first proxy, the others' are those after it; None: any free ones."""


async def stand(
    wanted: Wanted,
    ended: asyncio.Event,
    listening: Callable[[Mapping[Service, int]], None],
    fired: Callable[[Firing], None],
) -> Rules:
    """Stand between until `ended`; give the rules with their counts.

    `listening` is told each proxy's port, `fired` each fault that has had its effect. Raises `Refused` when a port is
    taken.
    """
    now = asyncio.get_running_loop().time
    begun = now()
    rules = Rules(wanted.rules, wanted.seed, lambda: now() - begun)
    ports: dict[Service, int] = {}
    async with AsyncExitStack() as standing:
        for number, (service, upstream) in enumerate(wanted.upstreams.items()):
            front = _front(upstream, ByRules(service, rules, fired))
            standing.push_async_callback(front.stop)
            asked = 0 if wanted.first_port is None else wanted.first_port + number
            try:
                ports[service] = await front.start(asked)
            except OSError as error:
                raise Refused(
                    f"Port {asked} for {service} cannot be had: {error.strerror}.", hint="Choose another --first-port."
                ) from error
        listening(ports)
        await ended.wait()
    return rules


def _front(upstream: Upstream, plan: ByRules) -> Listener:
    where = upstream.where
    if isinstance(where, Path) or plan.service is Service.POSTGRES:
        return PostgresFront(where, plan)
    return Front(lambda _request: where, plan)
