"""The proxy as a process: `python -m isthmus.console.proxy --upstream PORT --seed N --times K`.

It stands between clients and the ports of this machine where the real services listen (`--kinesis PORT`, if that one
has its own), and lets every fault happen K times by the plan of the seed, but for requests of a kind with `--spare`.
On stdout, one JSON object a line: `{"event": "listening", "port": n}`, then `{"event": "fired", "fault": name}` for
each fault that had its effect. It ends with code 0 after SIGTERM or SIGINT.
"""

import argparse
import asyncio
import json
import signal
import sys

from isthmus.console.proxy.faults import Fault, Traffic
from isthmus.console.proxy.schedule import Plan, Schedule, plan, sparing
from isthmus.console.proxy.server import Proxy


def _tell(event: str, **more: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **more}) + "\n")
    sys.stdout.flush()


def _fired(fault: Fault) -> None:
    _tell("fired", fault=fault.value)


async def _run(upstream: int, kinesis: int | None, planned: Plan) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    proxy = Proxy(upstream, Schedule(planned), _fired, kinesis=kinesis)
    _tell("listening", port=await proxy.start())
    await ended.wait()
    await proxy.stop()


def main() -> None:
    """Read the arguments, and stand in between."""
    parser = argparse.ArgumentParser(prog="python -m isthmus.console.proxy", description="A proxy that misbehaves.")
    parser.add_argument("--upstream", type=int, required=True, help="the port of this machine to pass requests on to")
    parser.add_argument("--kinesis", type=int, help="the port for requests to Kinesis, if it is another one")
    parser.add_argument("--seed", type=int, required=True, help="which plan")
    parser.add_argument("--times", type=int, required=True, help="how often each fault happens")
    parser.add_argument(
        "--spare", type=Traffic, choices=list(Traffic), action="append", default=[], help="let these requests pass"
    )
    arguments = parser.parse_args()
    planned = sparing(plan(arguments.seed, arguments.times), arguments.spare)
    asyncio.run(_run(arguments.upstream, arguments.kinesis, planned))


if __name__ == "__main__":
    main()
