"""The proxy itself, in front of AWS: clients on one side, the real services on the other, a plan in between."""

from asyncio import StreamReader, StreamWriter
from collections.abc import Callable

from isthmus.console.proxy import http1, wire
from isthmus.console.proxy.faults import Fault
from isthmus.console.proxy.listening import MOST_CLIENTS, Listener
from isthmus.console.proxy.messages import BadMessage, Request, parse_request
from isthmus.console.proxy.planned import TARGET, ByTraffic, Plan
from isthmus.console.proxy.recognise import is_kinesis
from isthmus.console.proxy.schedule import Schedule
from isthmus.console.proxy.wire import Address
from isthmus.errors import Missing

_HTTP2 = b"PRI * HTTP/2.0\r\n\r\n"
"""How a client begins that knows that it will be understood (RFC 9113, 3.4)."""


class Front(Listener):
    """Listens for HTTP, 1.1 or 2 without TLS, and passes each request on to the address that `route` gives for it.

    To the service it speaks what the client speaks to it; on HTTP/2 all requests of a connection go one way.
    """

    def __init__(self, route: Callable[[Request], Address], plan: Plan) -> None:
        super().__init__(self._connection, lambda: MOST_CLIENTS)
        self._route = route
        self._plan = plan

    async def _connection(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while True:
                raw = await wire.read_head(reader)
                if raw == _HTTP2:
                    # Imported here: only who asks for HTTP/2 needs the library for it.
                    from isthmus.console.proxy import http2  # noqa: PLC0415 - see above

                    return await http2.serve(self._plan, self._route, raw, reader, writer)
                head = parse_request(raw)
                if not await http1.turn(self._plan, head, self._route(head.request), reader, writer):
                    return None
        except BadMessage as error:
            return await http1.refuse(writer, error)
        except Missing as error:
            return await http1.refuse(writer, BadMessage(str(error), status=505))


class Proxy(Front):
    """The demo's: in front of one port of this machine, by its schedule.

    Requests to Kinesis go to the port `kinesis`, if it is given. `fired(fault)` is told each time that a fault has had
    its effect.
    """

    def __init__(
        self, upstream: int, schedule: Schedule, fired: Callable[[Fault], None], *, kinesis: int | None = None
    ) -> None:
        def route(request: Request) -> Address:
            apart = kinesis is not None and is_kinesis(request.field(TARGET))
            return Address(wire.LOOPBACK, kinesis if apart and kinesis is not None else upstream)

        super().__init__(route, ByTraffic(schedule, fired))
