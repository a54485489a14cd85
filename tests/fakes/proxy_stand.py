"""A user's fault proxy in this process, for clients that block: it stands in a thread of its own."""

import asyncio
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from isthmus.console.proxy.kinds import Service
from isthmus.console.proxy.planfile import named_apart, read_options
from isthmus.console.proxy.planned import Firing
from isthmus.console.proxy.rules import Rules
from isthmus.console.proxy.standing import Wanted, stand
from isthmus.console.proxy.upstreams import Upstream, of_http, of_postgres

PATIENCE = 30.0


class ProxyStand:
    """The proxy in front of one service, from `with` to its end; `specs` are its faults, as the command takes them."""

    def __init__(self, service: Service, upstream: str, *specs: str, seed: int = 0) -> None:
        read = read_options(specs)
        assert read.mistakes == []
        where = of_postgres(upstream) if service is Service.POSTGRES else of_http(upstream)
        assert isinstance(where, Upstream), where
        self._wanted = Wanted({service: where}, named_apart(read.rules), seed, None)
        self._service = service
        self._news = threading.Condition()
        self._ended: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failed: BaseException | None = None
        self.port = 0
        self.fired: list[Firing] = []
        self.rules: Rules | None = None
        """Once it has ended."""
        self._thread = threading.Thread(target=self._run, name="proxy-stand")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def kinds(self) -> list[str]:
        """What has fired, in order."""
        with self._news:
            return [firing.kind.value for firing in self.fired]

    def wait_fired(self, number: int) -> None:
        """Wait until so many faults have had their effect."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.fired) >= number, PATIENCE), self.fired

    def end(self) -> Rules:
        """End it, and give the rules with their counts. Safe to repeat."""
        if self._loop is not None and self._ended is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the proxy does not end"
        if self._failed is not None:
            raise self._failed
        assert self.rules is not None
        return self.rules

    def __enter__(self) -> Self:
        self._thread.start()
        with self._news:
            assert self._news.wait_for(lambda: self.port or self._failed, PATIENCE), "the proxy does not come up"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def _run(self) -> None:
        try:
            self.rules = asyncio.run(self._stand())
        except BaseException as error:  # noqa: BLE001 - shown to the test
            self._failed = error
            with self._news:
                self._news.notify_all()

    async def _stand(self) -> Rules:
        self._ended, self._loop = asyncio.Event(), asyncio.get_running_loop()
        self._loop.set_exception_handler(self._unhandled)
        return await stand(self._wanted, self._ended, self._listening, self._count)

    def _unhandled(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._failed = self._failed or context.get("exception") or AssertionError(context["message"])

    def _listening(self, ports: Any) -> None:
        with self._news:
            self.port = ports[self._service]
            self._news.notify_all()

    def _count(self, firing: Firing) -> None:
        with self._news:
            self.fired.append(firing)
            self._news.notify_all()


def specs_of(service: Service, kinds: Sequence[str]) -> list[str]:
    """Give one fault of each kind, once, on any operation."""
    return [f"{service} {kind} times=1" for kind in kinds]
