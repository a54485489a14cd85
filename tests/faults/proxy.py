"""`python -m tests.faults.proxy`: our own fault proxy, with a plan of some faults only, struck more densely."""

import argparse
import asyncio
import json
import random
import signal
import sys

from isthmus.console.proxy.faults import STRIKES, Fault, Traffic
from isthmus.console.proxy.schedule import GAPS, Schedule, Strike
from isthmus.console.proxy.server import Proxy


def plan(faults: list[Fault], seed: int, times: int) -> dict[Traffic, list[Strike]]:
    """Give a plan in which each of these faults happens so many times."""
    return {traffic: _strikes(traffic, faults, f"{seed}/{traffic}", times) for traffic in Traffic}


def _strikes(traffic: Traffic, faults: list[Fault], seed: str, times: int) -> list[Strike]:
    chance = random.Random(seed)
    chosen = [fault for fault in STRIKES[traffic] if fault in faults] * times
    chance.shuffle(chosen)
    found: list[Strike] = []
    at = 0
    least, most = GAPS[traffic]
    for number, fault in enumerate(chosen):
        # Reads are many and cheap: with the demo's own gaps a row would take its hour.
        at += 1 + chance.randint(least, min(most, least + 3))
        found.append(Strike(fault, at, f"{seed}/{number}"))
    return found


async def _run(upstream: int, planned: dict[Traffic, list[Strike]]) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    proxy = Proxy(upstream, Schedule(planned), lambda fault: _tell(fired=fault.value))
    _tell(port=await proxy.start())
    await ended.wait()
    await proxy.stop()


def _tell(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read the arguments, and stand in between."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.proxy")
    parser.add_argument("--upstream", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--times", type=int, required=True)
    parser.add_argument("faults", type=Fault, nargs="+")
    arguments = parser.parse_args()
    asyncio.run(_run(arguments.upstream, plan(arguments.faults, arguments.seed, arguments.times)))


if __name__ == "__main__":
    main()
