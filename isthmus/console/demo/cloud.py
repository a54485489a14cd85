"""AWS on this machine for one demo: an emulator, and where the KCL reads, a Kinesis that reshards as AWS's does."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from isthmus.aws import AwsAccess
from isthmus.console import programs
from isthmus.console.demo.plan import Place
from isthmus.console.demo.watch import Watch, alive_check
from isthmus.console.dev import kcl, kinesis_mock
from isthmus.console.dev.kinesis_mock import KinesisMock
from isthmus.console.embedded import HOST, Emulator
from isthmus.console.kcl.java import OLDEST
from isthmus.console.proxy.behaviour import CLIENTS_WAIT
from isthmus.consumer.feed import Feed, Fetched, Shard
from isthmus.errors import Missing
from isthmus.lifecycle import Stop
from isthmus.settings.load import cache_folder


@dataclass(frozen=True, slots=True)
class Cloud:
    """What runs."""

    emulator: Emulator
    mock: KinesisMock | None
    jars: Path | None
    """The folder of the KCL's jars, where it is wanted."""

    @property
    def access(self) -> AwsAccess:
        """How everything is reached, past the proxy."""
        mock = self.mock
        return self.emulator.access if mock is None else replace(self.emulator.access, endpoints={"kinesis": mock.url})

    @property
    def kinesis_port(self) -> int | None:
        """Where Kinesis is, if not with all others."""
        return urlsplit(self.mock.url).port if self.mock is not None else None

    def behind(self, port: int) -> AwsAccess:
        """Give how everything is reached through a proxy on a port of this machine.

        Clients give up on a request that hangs there before the proxy does, but not where kinesis-mock answers: what
        is only slow there would be asked again, and be slower for it.
        """
        access = replace(self.emulator.access, endpoint_url=f"http://{HOST}:{port}")
        return access if self.mock is not None else replace(access, answer=CLIENTS_WAIT)


class SmallPages:
    """A feed of which only so many records are asked at once."""

    def __init__(self, feed: Feed, most: int) -> None:
        self._feed = feed
        self._most = most

    def shards(self) -> list[Shard]:
        """Give all shards."""
        return self._feed.shards()

    def iterator(self, shard: str, after: str | None) -> str:
        """Give an iterator."""
        return self._feed.iterator(shard, after)

    def fetch(self, iterator: str, limit: int) -> Fetched:
        """Read at most `limit` records, and no more than are asked at once."""
        return self._feed.fetch(iterator, min(limit, self._most))


def open_cloud(stack: ExitStack, watch: Watch, place: Place, jars: Path | None, *, stop: Stop) -> Cloud:
    """Start it; it ends with the stack. `jars` are those of the KCL, where it is to read.

    Raises `Fatal` when it does not come up, and `Stopped`.
    """
    emulator = stack.enter_context(Emulator(place.logs, stop=stop))
    watch.add(alive_check("AWS emulator", emulator.alive))
    mock = None
    if jars is not None:
        # DynamoDB stays the emulator's: the library's leases need nothing that it has not, and AWS's own DynamoDB for
        # one machine would ask for a compiler and 300 MB more.
        stack.callback(_copy_of_program(place).unlink, missing_ok=True)
        mock = stack.enter_context(KinesisMock(place.kinesis, stop=stop))
        watch.add(alive_check("kinesis-mock", mock.alive))
    return Cloud(emulator, mock, jars)


def _copy_of_program(place: Place) -> Path:
    """Give what lies beside kinesis-mock's log while it runs: 9 MB, of no use afterwards."""
    return place.kinesis / "main.js"


def library(say: Callable[[str], None], home: Path | None = None) -> Path:
    """Give the folder of the KCL's jars, and see that everything else is there that it runs on.

    What can be fetched is fetched the first time, into `home` (the user's own install folder unless it is given), and
    `say` hears of it. Raises `Missing`, with all that is missing and what to do, in one message.
    """
    root = home or cache_folder()
    lacking = [why for why in (kinesis_mock.unavailable(root, say), _no_java() or kcl.unavailable(root, say)) if why]
    if lacking:
        raise Missing(
            "The demo cannot run under the Kinesis Client Library here:\n" + "\n".join(lacking),
            hint="\nWithout it: isthmus demo",
        )
    return kcl.jars(root)[0].parent


def _no_java() -> str:
    found = programs.java()
    if found is None or programs.java_version(found) >= OLDEST:
        # That there is none, the library's own installer says.
        return ""
    return f"The Kinesis Client Library needs Java {OLDEST} or newer, and {found} is not: put a newer one on the path."
