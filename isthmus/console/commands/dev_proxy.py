"""`isthmus dev proxy`: faults by a seeded plan, between the program and its services."""

import asyncio
import importlib.util
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from isthmus.console.commands.output import console, print_json, table
from isthmus.console.exits import Exit
from isthmus.console.proxy.kinds import Service
from isthmus.console.proxy.planfile import named_apart, not_in_front, read_options, read_plan
from isthmus.console.proxy.planned import Firing
from isthmus.console.proxy.rules import Rules
from isthmus.console.proxy.standing import Wanted, stand
from isthmus.console.proxy.upstreams import Upstream, of_http, of_postgres, settings_of
from isthmus.errors import Mistake, WrongSettings

_HIGHEST_FIRST_PORT = 65_531


@click.command()
@click.option("--kinesis", metavar="URL", help="Where Kinesis is, e.g. http://127.0.0.1:4566.")
@click.option("--dynamodb", metavar="URL", help="Where DynamoDB is.")
@click.option("--sqs", metavar="URL", help="Where SQS is.")
@click.option("--s3", metavar="URL", help="Where S3 is.")
@click.option("--postgres", metavar="ADDRESS", help="Where PostgreSQL is: HOST:PORT, a socket's folder, or a URL.")
@click.option("--plan", type=click.Path(path_type=Path, dir_okay=False), help="A file of faults, in TOML.")
@click.option("--fault", "specs", metavar="SPEC", multiple=True, help="One more fault; may be repeated.")
@click.option("--seed", type=int, help="Which run of the plan; the file's own by default, else 0.")
@click.option(
    "--first-port",
    type=click.IntRange(1, _HIGHEST_FIRST_PORT),
    help="Listen on this port and those after it, in the order above; on any free ones by default.",
)
@click.option("--json", "as_json", is_flag=True, help="Print lines of JSON, for scripts.")
def proxy(  # noqa: PLR0917 - the options are explained above
    kinesis: str | None,
    dynamodb: str | None,
    sqs: str | None,
    s3: str | None,
    postgres: str | None,
    plan: Path | None,
    specs: tuple[str, ...],
    seed: int | None,
    first_port: int | None,
    *,
    as_json: bool,
) -> int:
    r"""Stand between Isthmus and its services, and let go wrong what a plan says.

    Listens on loopback alone, for each service that is named, and passes everything on but what the plan strikes. Runs
    until Ctrl-C or SIGTERM, then says what fired how often. A fault counts once its effect has happened; what had none
    strikes a later request. The same seed and the same requests give the same faults.

    \b
    isthmus dev proxy --kinesis http://127.0.0.1:4566 --fault "kinesis PutRecords throttle every=10"
    isthmus dev proxy --postgres 127.0.0.1:5432 --fault "postgres commit answer-lost every=50 times=3"
    isthmus dev proxy --kinesis URL --dynamodb URL --plan faults.toml --seed 7

    \b
    A plan, faults.toml:
      seed = 7
      [[fault]]                    # once for each; the first that is due strikes
      service = "kinesis"          # kinesis, dynamodb, sqs, s3 or postgres
      operation = "PutRecords"     # or a list, or none: any. Of postgres: connect, query, commit
      kind = "throttle"            # see below
      every = 10                   # every 10th such request; or probability = 0.05; or neither: each one
      times = 3                    # so often at most
      first = 100                  # not before the 100th such request; last = 200: none after the 200th
      from = 10                    # seconds after the start; until = 30
    The same as an option: --fault "SERVICE [OPERATION,...] KIND [KEY=VALUE]...".

    \b
    Kinds of faults, and what they take:
      latency      kept back for seconds, and up to jitter more; comes on top of another fault
      reset        the connection breaks before the service is reached
      answer-lost  the request takes effect, the answer is lost with the connection
      late         the connection breaks, and seconds later the request arrives all the same
      half-open    no answer, the connection stays open until the client gives up (or for seconds)
      cut          the connection breaks after so many bytes of the answer
      throttle     refused as the service does it; code = another of its codes
      error        500, as the service says it                        (not postgres)
      unavailable  503; of postgres: it is starting up
      partial      some entries of a batch are refused                (kinesis, dynamodb, sqs)
      repeat       GetRecords: the same page comes again              (kinesis)
      expired      GetRecords: the iterator has expired               (kinesis)
      On HTTP/2, breaks = "stream" (the default), "goaway" or "connection" says what breaks.

    \b
    With --json, a line each:
      {event: "listening", addresses: {service: address}, settings: [a line of isthmus.toml], seed}
      {event: "fired", fault, service, operation, kind, request}
      {event: "summary", seed, faults: [{fault, service, kind, requests, fired}]}
    """
    given = {"kinesis": kinesis, "dynamodb": dynamodb, "sqs": sqs, "s3": s3, "postgres": postgres}
    wanted = _wanted({Service(name): text for name, text in given.items() if text is not None}, plan, specs, seed)
    telling = _Json(wanted) if as_json else _Text(wanted)
    rules = asyncio.run(_run(wanted._replace(first_port=first_port), telling))
    telling.summary(rules)
    return Exit.DONE


def _wanted(given: Mapping[Service, str], plan: Path | None, specs: tuple[str, ...], seed: int | None) -> Wanted:
    """Read everything that was given. Raises `WrongSettings` with every mistake."""
    upstreams: dict[Service, Upstream] = {}
    mistakes: list[Mistake] = []
    for service, text in given.items():
        found = of_postgres(text) if service is Service.POSTGRES else of_http(text)
        if isinstance(found, str):
            mistakes.append(Mistake("command line", f"--{service}", "", found))
        else:
            upstreams[service] = found
    if not given:
        mistakes.append(
            Mistake("command line", "--kinesis", "", "or another service must be named: nothing to stand in front of")
        )
    read = [*([read_plan(plan)] if plan is not None else []), read_options(specs)]
    rules = [rule for each in read for rule in each.rules]
    mistakes += [mistake for each in read for mistake in each.mistakes]
    mistakes += not_in_front(rules, given)
    if mistakes:
        raise WrongSettings(mistakes)
    own = next((each.seed for each in read if each.seed is not None), 0)
    return Wanted(upstreams, named_apart(rules), own if seed is None else seed, None)


async def _run(wanted: Wanted, telling: "_Text | _Json") -> Rules:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    return await stand(wanted, ended, telling.listening, telling.fired)


def _address(service: Service, port: int) -> str:
    return f"127.0.0.1:{port}" if service is Service.POSTGRES else f"http://127.0.0.1:{port}"


class _Text:
    """Tells people."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted

    def listening(self, ports: Mapping[Service, int]) -> None:
        rows = [
            (service.value, _address(service, port), str(self._wanted.upstreams[service]))
            for service, port in ports.items()
        ]
        console().print(table(("PROXY", "ADDRESS", "IN FRONT OF"), rows))
        click.echo("\nIn isthmus.toml:\n")
        for line in settings_of(ports, self._wanted.upstreams):
            click.echo(f"  {line}".rstrip())
        if importlib.util.find_spec("h2") is None:
            click.echo("\nHTTP/2 is not spoken here: `pip install 'isthmus[demo]'` brings the library for it.")
        if not self._wanted.rules:
            click.echo("\nNo fault is planned: everything passes. --help shows how to plan some.")
        click.echo(f"\nSeed {self._wanted.seed}. Ctrl-C ends it, and says what fired.")

    def fired(self, _firing: Firing) -> None:
        """Say nothing: there may be thousands."""

    def summary(self, rules: Rules) -> None:
        rows = [
            (rule.name, rule.service.value, rule.kind.value, str(count.seen), _of(count.fired, rule.times))
            for rule, count in zip(rules.rules, rules.counts, strict=True)
        ]
        click.echo()
        console().print(table(("FAULT", "SERVICE", "KIND", "REQUESTS", "FIRED"), rows))


def _of(fired: int, times: int | None) -> str:
    return str(fired) if times is None else f"{fired} of {times}"


class _Json:
    """Tells scripts."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._print: Callable[[object], None] = print_json

    def listening(self, ports: Mapping[Service, int]) -> None:
        self._print(
            {
                "event": "listening",
                "addresses": {service.value: _address(service, port) for service, port in ports.items()},
                "settings": settings_of(ports, self._wanted.upstreams),
                "seed": self._wanted.seed,
            }
        )

    def fired(self, firing: Firing) -> None:
        self._print({"event": "fired", **firing._asdict()})

    def summary(self, rules: Rules) -> None:
        faults = [
            {
                "fault": rule.name,
                "service": rule.service.value,
                "kind": rule.kind.value,
                "requests": count.seen,
                "fired": count.fired,
            }
            for rule, count in zip(rules.rules, rules.counts, strict=True)
        ]
        self._print({"event": "summary", "seed": self._wanted.seed, "faults": faults})
