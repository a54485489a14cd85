"""`isthmus fan-out`: the stream's registered consumers, which AWS bills as long as they are registered."""

from pathlib import Path

import click

from isthmus import aws
from isthmus.console.commands.options import config_option, json_option
from isthmus.console.commands.output import console, print_json, table, title
from isthmus.console.exits import Exit
from isthmus.console.kcl.fanout import consumers_of
from isthmus.console.kcl.fanout import remove as remove_consumer
from isthmus.console.wiring import Wiring
from isthmus.errors import Missing, Refused
from isthmus.settings import load


@click.group("fan-out")
def fan_out() -> None:
    r"""Look at the registered consumers of the stream, and remove one that nobody needs.

    With kcl.retrieval = "fan-out" the Kinesis Client Library registers one, by the name of kcl.table, and leaves it
    registered for ever. AWS bills every registered consumer by the hour and shard, used or not.

    \b
    isthmus fan-out list
    isthmus fan-out remove NAME   when kcl.retrieval is "polling" again, on every machine
    """


@fan_out.command("list")
@config_option
@json_option
def list_(config: Path, *, as_json: bool) -> int:
    r"""List the registered consumers of the stream, those of other applications too. Only reads.

    \b
    isthmus fan-out list
    isthmus fan-out list --json | jq -r '.consumers[].name'

    \b
    With --json, one object:
      stream
      consumers  [{name, status, since, ours}]
                 status: CREATING, ACTIVE or DELETING; ours: it has the name of this application's
    """
    settings = load(config)
    wiring = Wiring(settings, patient=False)
    client = aws.client(wiring.access, "kinesis")
    facts = aws.describe_stream(client, settings.stream.name)
    rows = [
        each._asdict() | {"ours": each.name == settings.kcl.table} for each in consumers_of(client, facts.identity.arn)
    ]
    if as_json:
        print_json({"stream": settings.stream.name, "consumers": rows})
        return Exit.DONE
    out = console()
    out.print(title(f"{settings.stream.name}: {len(rows) or 'no'} registered consumers"))
    if rows:
        out.print(
            table(
                ("CONSUMER", "STATUS", "SINCE", "WHOSE"),
                [(row["name"], row["status"], row["since"], "ours" if row["ours"] else "?") for row in rows],
            )
        )
    return Exit.DONE


@fan_out.command()
@config_option
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.argument("name")
def remove(config: Path, name: str, *, yes: bool) -> int:
    r"""Remove a registered consumer of the stream. AWS bills it no longer.

    Whoever reads by it, reads no more. So the one of this application is refused while kcl.retrieval is "fan-out".

    \b
    isthmus fan-out list          what is it called?
    isthmus fan-out remove NAME
    """
    settings = load(config)
    if name == settings.kcl.table and settings.kcl.retrieval == "fan-out":
        raise Refused(
            f"This application reads by the consumer {name}.",
            hint='Set retrieval = "polling" under [kcl], and start every worker again; then remove it.',
        )
    wiring = Wiring(settings, patient=False)
    client = aws.client(wiring.access, "kinesis")
    facts = aws.describe_stream(client, settings.stream.name)
    stream = settings.stream.name
    if not (yes or _agreed(name, stream)):
        return Exit.FAILED
    if not remove_consumer(client, facts.identity.arn, name, stop=wiring.stop):
        raise Missing(f"The stream {stream} has no registered consumer {name}.", hint="Look: isthmus fan-out list")
    click.echo(f"{name} is removed.")
    return Exit.DONE


def _agreed(name: str, stream: str) -> bool:
    agreed = False
    try:
        agreed = click.confirm(f"Remove {name} from {stream}? Whoever reads by it, reads no more.", err=True)
    finally:
        if not agreed:
            click.echo("Nothing was changed. With --yes nobody is asked.", err=True)
    return agreed
