"""`isthmus dev proxy` as a process: the example of the documents, its lines, its end, and its mistakes."""

import json
import re
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from isthmus.aws import AwsAccess, client
from isthmus.chance import unique_name
from isthmus.console.main import invoke
from isthmus.console.proxy import peer
from isthmus.errors import Missing
from tests.fakes.emulator import Emulator
from tests.fakes.http2_client import Http2Client
from tests.fakes.postgres_server import PostgresServer

DOCUMENT = Path(__file__).parents[2] / "docs" / "dev.md"
SECTION = DOCUMENT.read_text(encoding="utf-8").split("## What can go wrong, on purpose\n")[1].split("\n## ")[0]


class Running:
    """The command as a process."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "isthmus.console", "dev", "proxy", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def until(self, text: str) -> str:
        """Read up to and with the line that holds this text."""
        read = ""
        while text not in read:
            line = self.line()
            assert line, read + self.rest()[1]
            read += line
        return read

    def end(self, number: signal.Signals = signal.SIGTERM) -> str:
        """Ask it to end; give the rest that it said."""
        self.process.send_signal(number)
        out, err = self.rest()
        assert (self.process.returncode, err) == (0, "")
        return out

    def rest(self) -> tuple[str, str]:
        return self.process.communicate(timeout=30)


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    begun: list[Running] = []

    def start(*arguments: str) -> Running:
        begun.append(Running(*arguments))
        return begun[-1]

    yield start
    for each in begun:
        if each.process.poll() is None:
            each.process.kill()
        each.rest() if each.process.stdout and not each.process.stdout.closed else None


def block(kind: str) -> str:
    """Give the first block of this kind in the section."""
    found = re.search(rf"^```{kind}\n(.*?)^```", SECTION, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def ask(ports: dict[str, str], emulator: Emulator) -> None:
    """Ask what the section says has been asked."""
    stream, queue = unique_name(), unique_name()
    emulator.client("kinesis").create_stream(StreamName=stream, ShardCount=1)
    emulator.client("kinesis").get_waiter("stream_exists").wait(StreamName=stream)
    url = emulator.client("sqs").create_queue(QueueName=queue)["QueueUrl"]
    records: Any = [{"Data": b"x", "PartitionKey": "k"}] * 5
    with (
        closing(client(AwsAccess(ports["kinesis"], "us-east-1", "test", "test"), "kinesis")) as kinesis,
        closing(client(AwsAccess(ports["sqs"], "us-east-1", "test", "test"), "sqs")) as sqs,
    ):
        for _ in range(40):
            with suppress(ClientError):
                kinesis.put_records(StreamName=stream, Records=records)
        for _ in range(12):
            with suppress(BotoCoreError):
                sqs.send_message(QueueUrl=url, MessageBody="x")


def test_the_example_of_the_documents_does_what_it_says(
    run: Callable[..., Running], emulator: Emulator, tmp_path: Path
) -> None:
    plan = tmp_path / "faults.toml"
    plan.write_text(block("toml"), encoding="utf-8")
    words = block("sh").split()
    assert words[:3] == ["isthmus", "dev", "proxy"]
    arguments = [str(plan) if word == "faults.toml" else word for word in words[3:]]
    arguments = [emulator.url if word.startswith("http://") else word for word in arguments]
    running = run(*arguments)
    said = running.until("Ctrl-C ends it")
    assert "Seed 7." in said
    settings = tomllib.loads("\n".join(line for line in said.splitlines() if line.startswith("  ")))
    ask(settings["aws"]["endpoints"], emulator)
    table = [line.split() for line in running.end(signal.SIGINT).splitlines() if line.strip()]
    assert table == [line.split() for line in block("text").splitlines()]


def test_a_script_reads_a_line_for_each_fault_and_a_summary(
    run: Callable[..., Running], emulator: Emulator, tmp_path: Path
) -> None:
    plan = tmp_path / "faults.toml"
    plan.write_text(block("toml"), encoding="utf-8")
    running = run("--kinesis", emulator.url, "--sqs", emulator.url, "--plan", str(plan), "--seed", "8", "--json")
    first = json.loads(running.line())
    assert (first["event"], first["seed"]) == ("listening", 8)
    assert first["settings"] == ["[aws.endpoints]", *(f'{name} = "{at}"' for name, at in first["addresses"].items())]
    ask(first["addresses"], emulator)
    lines = [json.loads(line) for line in running.end().splitlines()]
    fired, summary = lines[:-1], lines[-1]
    assert {line["event"] for line in fired} == {"fired"}
    assert set(fired[0]) == {"event", "fault", "service", "operation", "kind", "request"}
    assert summary["event"] == "summary"
    counts = {fault["fault"]: fault["fired"] for fault in summary["faults"]}
    assert counts == {name: sum(line["fault"] == name for line in fired) for name in counts}
    assert {fault["requests"] for fault in summary["faults"]} == {12, 40}


def test_the_lines_for_postgresql_lead_through_the_proxy(run: Callable[..., Running], postgres: PostgresServer) -> None:
    import psycopg  # noqa: PLC0415 - beside its only user

    running = run("--postgres", postgres.url, "--json", "--fault", "postgres query reset first=2 times=1")
    settings = tomllib.loads("\n".join(json.loads(running.line())["settings"]))
    connection = psycopg.connect(settings["store"]["url"], autocommit=True)
    assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    assert json.loads(running.line())["kind"] == "reset"
    assert json.loads(running.end())["faults"][0]["fired"] == 1


def test_it_listens_on_loopback_alone_on_the_ports_that_were_asked_for(
    run: Callable[..., Running], emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        first = probe.getsockname()[1]
    running = run("--kinesis", emulator.url, "--s3", emulator.url, "--first-port", str(first), "--json")
    addresses = json.loads(running.line())["addresses"]
    assert addresses == {"kinesis": f"http://127.0.0.1:{first}", "s3": f"http://127.0.0.1:{first + 1}"}
    assert invoke(["dev", "proxy", "--kinesis", emulator.url, "--first-port", str(first)]) == 1
    assert "Choose another --first-port" in capsys.readouterr().err
    with Http2Client(first) as listener:
        assert listener.call("Kinesis_20131202.ListStreams").status == 200
        # A client that stays does not keep it from ending.
        running.end()


def test_every_mistake_is_told_at_once_and_nothing_is_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "faults.toml"
    plan.write_text('[[fault]]\nservice = "kinesis"\nkind = "throttle"\nevry = 2\n', encoding="utf-8")
    wrong = ["--s3", "https://s3.amazonaws.com", "--plan", str(plan), "--fault", "sqs SendMesage reset"]
    assert invoke(["dev", "proxy", *wrong, "--fault", "dynamodb reset"]) == 2
    told = capsys.readouterr().err
    for part in ("--s3: must be http://", "did you mean every?", "did you mean SendMessage?", "with --dynamodb URL"):
        assert part in told
    assert invoke(["dev", "proxy"]) == 2
    assert "nothing to stand in front of" in capsys.readouterr().err


def test_help_shows_examples_and_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    from isthmus.console.proxy.kinds import Kind  # noqa: PLC0415 - beside its only user

    assert invoke(["dev", "proxy", "--help"]) == 0
    told = capsys.readouterr().out
    assert "\n  isthmus dev proxy --kinesis" in told
    assert "\\b" not in told
    assert [kind for kind in Kind if not re.search(rf"^    {kind}  ", told, re.MULTILINE)] == []
    assert [kind for kind in Kind if f"`{kind}`" not in SECTION] == []


def test_without_the_library_for_http2_a_client_of_it_gets_a_sentence(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from isthmus.console.proxy.kinds import Service  # noqa: PLC0415 - beside its only user
    from tests.fakes.proxy_stand import ProxyStand  # noqa: PLC0415 - same

    assert peer.Missing is Missing
    monkeypatch.delitem(sys.modules, "isthmus.console.proxy.http2", raising=False)
    monkeypatch.delattr("isthmus.console.proxy.http2", raising=False)
    monkeypatch.delitem(sys.modules, "isthmus.console.proxy.peer")
    monkeypatch.setitem(sys.modules, "h2.config", None)
    with (
        ProxyStand(Service.KINESIS, emulator.url) as stand,
        socket.create_connection(("127.0.0.1", stand.port), timeout=20) as asks,
    ):
        asks.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert asks.recv(1000).startswith(b"HTTP/1.1 505 ")
