"""`/metrics` and `/healthz`, on loopback unless the settings say otherwise."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from isthmus.errors import Refused
from isthmus.metrics import Metrics

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = 5.0
    """A client that says nothing does not keep a thread for ever."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Say nothing: a scrape is no event."""


@contextmanager
def serving(metrics: Metrics, host: str, port: int, healthy: Callable[[], str]) -> Iterator[int]:
    """Serve until the block ends; give the port (0 asks for a free one).

    `healthy` gives an empty text, or what is wrong: then `/healthz` answers 503 with it. Raises `Refused` when the
    port is taken.
    """
    exposition = make_wsgi_app(metrics.registry)

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

    try:
        server = make_server(host, port, application, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise Refused(
            f"Metrics cannot be served on {host}:{port}: {error.strerror}.", hint="Set another port under [metrics]."
        ) from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="metrics", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
