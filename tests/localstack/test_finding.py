"""Which LocalStack is used, and which is left alone."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from isthmus.console.dev.standin import free_ports
from tests.fakes.emulator import Emulator
from tests.localstack.finding import Found, find

ALL = ("dynamodb", "kinesis", "s3", "sqs")
QUESTIONS = {
    "DynamoDB_20120810.ListTables": "dynamodb",
    "Kinesis_20131202.ListStreams": "kinesis",
    "AmazonSQS.ListQueues": "sqs",
}
Play = Callable[..., int]


@pytest.fixture(autouse=True)
def _nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "LOCALSTACK_HOST", "USE_SSL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def play() -> Iterator[Play]:
    """Give what plays a LocalStack, with services in these states, on a port that it gives.

    A service that is available runs once it was asked something, but for `stuck`; `broken` answers with an error.
    """
    servers: list[ThreadingHTTPServer] = []

    def start(stuck: str = "", broken: str = "", **states: str) -> int:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                told: dict[str, Any] = {"/_localstack/health": {"services": states}}
                told["/_localstack/info"] = {"session_id": "1", "version": "4.14.0"}
                if self.path in told:
                    self._answer(json.dumps(told[self.path]))
                else:
                    self._asked("s3", "<ListAllMyBucketsResult/>")

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self._asked(QUESTIONS[self.headers["X-Amz-Target"]], "{}")

            def log_message(self, *_: object) -> None: ...

            def _asked(self, service: str, answer: str) -> None:
                if service not in (stuck, broken):
                    states[service] = "running"
                self._answer(answer, 500 if service == broken else 200)

            def _answer(self, text: str, status: int = 200) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        servers.append(server)
        return int(server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_one_that_runs_is_found_by_the_name_that_localstack_client_knows(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = play(**dict.fromkeys(ALL, "running"))
    monkeypatch.setenv("LOCALSTACK_HOST", f"localhost:{port}")
    assert find() == Found(f"http://127.0.0.1:{port}")
    monkeypatch.setenv("LOCALSTACK_HOST", "localhost:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://localhost:{port}/")
    assert find() == Found(f"http://127.0.0.1:{port}")


def test_services_that_begin_when_they_are_asked_are_asked(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    states = dict.fromkeys(ALL, "available")
    monkeypatch.setenv("LOCALSTACK_HOST", f"localhost:{play(**states)}")
    assert find().url
    monkeypatch.setenv("LOCALSTACK_HOST", f"localhost:{play(stuck='s3', **states)}")
    assert find().why.endswith("says that s3 does not run")


def test_one_that_lacks_a_service_is_not_used(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    states = dict.fromkeys(ALL, "running")
    monkeypatch.setenv("LOCALSTACK_HOST", f"localhost:{play(**states | {'sqs': 'disabled'})}")
    assert find().why.endswith("does not serve sqs")
    monkeypatch.setenv("LOCALSTACK_HOST", f"localhost:{play(broken='kinesis', **states)}")
    assert "does not serve kinesis: " in find().why


def test_another_emulator_that_answers_at_its_path_is_not_taken_for_it(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCALSTACK_HOST", f"localhost:{emulator.port}")
    assert find().why.endswith("is no LocalStack, though it answers like one")


@pytest.mark.parametrize(
    "variable, value, why",
    [
        ("LOCALSTACK_HOST", "localstack.example:4566", "is not on this machine"),
        ("LOCALSTACK_HOST", "localhost:port", "could not parse"),
        ("AWS_ENDPOINT_URL", "https://kinesis.eu-central-1.amazonaws.com", "is not on this machine"),
        ("AWS_ENDPOINT_URL", "https://localhost:4566", "wants TLS"),
        ("AWS_ENDPOINT_URL", "nonsense", "is not on this machine"),
    ],
)
def test_nothing_is_asked_where_tests_must_not_write(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, why: str
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr("tests.localstack.finding.objection", lambda _: pytest.fail("it was asked"))
    found = find()
    assert not found.url
    assert why in found.why


def test_where_nobody_listens_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("LOCALSTACK_HOST", f"localhost:{port}")
    assert find().why == f"http://localhost:{port} does not answer as LocalStack does"
