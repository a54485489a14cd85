"""`/metrics` and `/healthz`, on loopback unless the settings say otherwise."""

import errno
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from isthmus.errors import Refused
from isthmus.lifecycle import Stop, ThreadStop
from isthmus.log import get_logger
from isthmus.metrics import Metrics

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

log = get_logger(__name__)

_AGAIN_SECONDS = 2.0
"""From one attempt to bind a taken port to the next."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = 5.0
    """A client that says nothing does not keep a thread for ever."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Say nothing: a scrape is no event."""


@contextmanager
def serving(metrics: Metrics, host: str, port: int, healthy: Callable[[], str]) -> Iterator[None]:
    """Serve until the block ends; the log tells the port (0 asks for a free one).

    `healthy` gives an empty text, or what is wrong: then `/healthz` answers 503 with it. A port that is taken is
    waited for: it may belong to the process that this one shall follow. Raises `Refused` for an address that cannot
    be had.
    """
    application = _application(metrics, healthy)
    server = _bound(host, port, application)
    if server is None:
        log.warning("metrics_port_taken", host=host, port=port)
    ended = ThreadStop()
    thread = threading.Thread(target=_serve, args=(server, host, port, application, ended), name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.request()
        thread.join()


def _serve(server: WSGIServer | None, host: str, port: int, application: "WSGIApplication", ended: Stop) -> None:
    while server is None:
        if ended.wait(_AGAIN_SECONDS):
            return
        server = _bound(host, port, application)
    log.info("metrics_served", host=host, port=server.server_port)
    server.timeout = 0.1
    with server:
        while not ended.requested():
            server.handle_request()


def _bound(host: str, port: int, application: "WSGIApplication") -> WSGIServer | None:
    """Give the server, or None where the port is taken."""
    try:
        return make_server(host, port, application, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return None
        raise Refused(
            f"Metrics cannot be served on {host}:{port}: {error.strerror}.",
            hint="Set another address under [metrics].",
        ) from error


def _application(metrics: Metrics, healthy: Callable[[], str]) -> "WSGIApplication":
    exported = CollectorRegistry()
    exported.register(metrics)
    exposition = make_wsgi_app(exported)

    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/healthz":
            wrong = healthy()
            start_response("503 Service Unavailable" if wrong else "200 OK", [("Content-Type", "text/plain")])
            return [(wrong or "ok").encode() + b"\n"]
        if path == "/metrics":
            answer: Iterable[bytes] = exposition(environ, start_response)
            return answer
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"Here are /metrics and /healthz.\n"]

    return application
