"""The fault proxy with HTTP/2 without TLS, before and behind it."""

import json
import socket
from collections.abc import Iterator

import pytest

from isthmus.console.proxy import listening
from isthmus.console.proxy.kinds import Service
from tests.fakes.emulator import Emulator
from tests.fakes.http2_client import Http2Client, Http2Service
from tests.fakes.proxy_stand import ProxyStand

PUT, READ, LISTEN = (f"Kinesis_20131202.{name}" for name in ("PutRecords", "GetRecords", "SubscribeToShard"))
INTERNAL, REFUSED = 2, 7
"""Error codes (RFC 9113, 7)."""


@pytest.fixture
def service() -> Iterator[Http2Service]:
    with Http2Service() as running:
        yield running


def test_requests_pass_side_by_side_on_one_connection_with_fields_and_bodies(service: Http2Service) -> None:
    with ProxyStand(Service.KINESIS, service.url) as stand, Http2Client(stand.port) as client:
        streams = [client.ask(PUT, {"number": number}) for number in range(20)]
        answers = [client.answer(stream) for stream in streams]
        assert [answer.json["number"] for answer in answers] == list(range(20))
        assert {(answer.status, answer.fields["x-own"]) for answer in answers} == {(200, "yes")}
        assert len(service.requests) == 20


def test_large_bodies_pass_both_ways_within_the_windows(service: Http2Service) -> None:
    with ProxyStand(Service.KINESIS, service.url) as stand, Http2Client(stand.port) as client:
        asked = {"data": "x" * 3_000_000}
        assert client.call(PUT, asked).json == asked


def test_trailers_pass(service: Http2Service) -> None:
    service.trailers = True
    with ProxyStand(Service.KINESIS, service.url) as stand, Http2Client(stand.port) as client:
        answer = client.call(PUT, {})
        assert (answer.ended, answer.trailers) == (True, {"x-last": "word"})


def test_a_stream_of_events_passes_as_it_comes_and_beside_other_requests(service: Http2Service) -> None:
    with ProxyStand(Service.KINESIS, service.url) as stand, Http2Client(stand.port) as client:
        stream = client.ask(LISTEN)
        assert client.answer(stream, bytes_=6).body == b"event;"
        assert client.call(PUT, {"beside": 1}).json == {"beside": 1}
        service.say()
        answer = client.answer(stream, bytes_=12)
        assert (answer.body, answer.ended) == (b"event;event;", False)


def test_a_client_that_gives_a_stream_up_is_known_to_the_service(service: Http2Service) -> None:
    with ProxyStand(Service.KINESIS, service.url) as stand, Http2Client(stand.port) as client:
        stream = client.ask(LISTEN)
        client.answer(stream, bytes_=6)
        client.give_up(stream)
        assert service.left.wait(20)
        assert client.call(PUT, {"after": 1}).json == {"after": 1}


@pytest.mark.parametrize("kind", ["reset", "answer-lost"])
def test_a_stream_is_reset_before_or_after_the_service_has_answered_and_the_others_go_on(
    service: Http2Service, kind: str
) -> None:
    with (
        ProxyStand(Service.KINESIS, service.url, f"kinesis {kind} times=1") as stand,
        Http2Client(stand.port) as client,
    ):
        assert client.call(PUT, {}).reset == INTERNAL
        assert len(service.requests) == (kind == "answer-lost")
        stand.wait_fired(1)
        assert client.call(PUT, {"next": 1}).json == {"next": 1}
        assert stand.kinds == [kind]


def test_a_service_goes_away_with_all_of_the_connection(service: Http2Service) -> None:
    specs = ("kinesis reset breaks=goaway times=1", "kinesis reset breaks=connection times=1")
    with ProxyStand(Service.KINESIS, service.url, *specs) as stand:
        with Http2Client(stand.port) as client:
            client.call(PUT, {})
            assert client.went_away
        with Http2Client(stand.port) as client:
            client.call(PUT, {})
            assert (client.went_away, client.broken) == (False, True)
        stand.wait_fired(2)
        assert stand.kinds == ["reset", "reset"]
        assert service.requests == []


@pytest.mark.parametrize(
    "kind, status, code",
    [
        ("throttle", 400, "ProvisionedThroughputExceededException"),
        ("error", 500, "InternalFailure"),
        ("unavailable", 503, "ServiceUnavailable"),
    ],
)
def test_a_stream_is_refused_in_the_services_own_words(
    service: Http2Service, kind: str, status: int, code: str
) -> None:
    with (
        ProxyStand(Service.KINESIS, service.url, f"kinesis {kind} times=1") as stand,
        Http2Client(stand.port) as client,
    ):
        answer = client.call(LISTEN)
        assert (answer.status, answer.json["__type"]) == (status, code)
        stand.wait_fired(1)
        assert (service.requests, stand.kinds) == ([], [kind])


def test_some_entries_of_a_put_are_refused(emulator: Emulator) -> None:
    spec = "kinesis PutRecords partial times=1"
    with ProxyStand(Service.KINESIS, emulator.url, spec) as stand, Http2Client(stand.port) as client:
        client.call("Kinesis_20131202.CreateStream", {"StreamName": "partial-by-http2", "ShardCount": 1})
        entries = [{"Data": "eA==", "PartitionKey": "k"}] * 9
        answer = client.call(PUT, {"StreamName": "partial-by-http2", "Records": entries}).json
        assert 0 < answer["FailedRecordCount"] < 9
        assert len(answer["Records"]) == 9
        assert sum("ErrorCode" in entry for entry in answer["Records"]) == answer["FailedRecordCount"]
        stand.wait_fired(1)
        assert stand.kinds == ["partial"]


def test_the_answer_to_a_subscription_is_lost_once_it_has_begun(service: Http2Service) -> None:
    spec = "kinesis SubscribeToShard answer-lost times=1"
    with ProxyStand(Service.KINESIS, service.url, spec) as stand, Http2Client(stand.port) as client:
        answer = client.call(LISTEN)
        assert (answer.reset, answer.body) == (INTERNAL, b"")
        assert service.left.wait(20)
        assert [target for target, _ in service.requests] == ["SubscribeToShard"]
        stand.wait_fired(1)
        assert stand.kinds == ["answer-lost"]


def test_a_stream_of_events_is_cut_after_so_many_bytes(service: Http2Service) -> None:
    spec = "kinesis SubscribeToShard cut bytes=8 times=1"
    with ProxyStand(Service.KINESIS, service.url, spec) as stand, Http2Client(stand.port) as client:
        stream = client.ask(LISTEN)
        client.answer(stream, bytes_=6)
        assert stand.kinds == []
        service.say()
        answer = client.answer(stream)
        assert (answer.body, answer.reset) == (b"event;ev", INTERNAL)
        stand.wait_fired(1)
        assert stand.kinds == ["cut"]


def test_a_half_open_stream_says_nothing_until_the_client_gives_up(service: Http2Service) -> None:
    with ProxyStand(Service.KINESIS, service.url, "kinesis GetRecords half-open times=1") as stand:
        with Http2Client(stand.port) as client:
            stream = client.ask(READ)
            # What is asked after it is answered before it.
            assert client.call(PUT, {"other": 1}).json == {"other": 1}
            assert client.answer(stream, bytes_=0).status == 0
            assert stand.kinds == []
            client.give_up(stream)
            stand.wait_fired(1)
        assert [target for target, _ in service.requests] == ["PutRecords"]


def test_latency_keeps_one_stream_back_and_not_the_others(service: Http2Service) -> None:
    with ProxyStand(Service.KINESIS, service.url, "kinesis GetRecords latency seconds=0.3") as stand:
        with Http2Client(stand.port) as client:
            late, soon = client.ask(READ, {"late": 1}), client.ask(PUT, {"soon": 1})
            assert client.answer(soon).json == {"soon": 1}
            assert client.answer(late, bytes_=0).body == b""
            assert client.answer(late).json == {"late": 1}
        stand.wait_fired(1)
        assert stand.kinds == ["latency"]


def test_a_service_that_does_not_speak_http2_is_a_stream_that_breaks(emulator: Emulator) -> None:
    del emulator
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with ProxyStand(Service.KINESIS, url, "kinesis answer-lost") as stand, Http2Client(stand.port) as client:
            stream = client.ask(PUT)
            connection, _ = deaf.accept()
            connection.recv(10)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()
            assert client.answer(stream).reset == INTERNAL
            assert stand.kinds == []


def test_a_service_that_is_away_is_a_stream_that_breaks_and_no_fault(service: Http2Service) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    del service
    with ProxyStand(Service.KINESIS, url, "kinesis answer-lost") as stand, Http2Client(stand.port) as client:
        assert client.call(PUT).reset == INTERNAL
        assert stand.kinds == []


def test_a_stream_too_many_is_refused(service: Http2Service, monkeypatch: pytest.MonkeyPatch) -> None:
    from isthmus.console.proxy import http2  # noqa: PLC0415 - beside its only user

    monkeypatch.setattr(http2, "MOST_STREAMS", 1)
    with ProxyStand(Service.KINESIS, service.url) as stand, Http2Client(stand.port) as client:
        stream = client.ask(LISTEN)
        client.answer(stream, bytes_=6)
        assert client.call(PUT).reset == REFUSED


def test_http1_and_http2_come_to_the_same_port(service: Http2Service) -> None:
    assert listening.MOST_CLIENTS > 1
    with ProxyStand(Service.KINESIS, service.url, "kinesis every=2 throttle") as stand:
        with Http2Client(stand.port) as client:
            assert client.call(PUT, {}).status == 200
        with socket.create_connection(("127.0.0.1", stand.port), timeout=20) as plain:
            plain.sendall(f"POST / HTTP/1.1\r\nX-Amz-Target: {PUT}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
            head, _, body = plain.recv(65536).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400")
        assert json.loads(body)["__type"] == "ProvisionedThroughputExceededException"
