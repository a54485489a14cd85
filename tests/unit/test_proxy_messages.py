"""HTTP/1.1 as the fault proxy reads and writes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.console.proxy import messages
from isthmus.console.proxy.messages import (
    BadMessage,
    Framing,
    Request,
    Response,
    encode_request,
    encode_response,
    parse_chunk_line,
    parse_request,
    parse_response,
)


def head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def test_a_head_is_taken_apart_and_framing_stays_with_the_connection() -> None:
    parsed = parse_request(
        head(
            "POST /a?b=c HTTP/1.1",
            "Host: x",
            "X-Amz-Target:  T ",
            "Content-Length: 3",
            "Connection: Close, x-own",
            "X-Own: 1",
        )
    )
    assert parsed.request == Request("POST", "/a?b=c", [("Host", "x"), ("X-Amz-Target", "T")])
    assert parsed.request.field("x-amz-target") == "T"
    assert parsed.framing == Framing(length=3)
    assert not parsed.keeps_open
    assert not parsed.waits


def test_a_connection_stays_open_unless_it_is_said_or_is_of_the_older_version() -> None:
    assert parse_request(head("GET / HTTP/1.1")).keeps_open
    assert not parse_request(head("GET / HTTP/1.0")).keeps_open
    assert not parse_request(head("GET / HTTP/1.1", "Connection: close")).keeps_open


def test_a_client_may_ask_before_it_sends_the_body() -> None:
    assert parse_request(head("PUT / HTTP/1.1", "Expect: 100-Continue")).waits
    with pytest.raises(BadMessage) as caught:
        parse_request(head("PUT / HTTP/1.1", "Expect: 200-maybe"))
    assert caught.value.status == 417


@pytest.mark.parametrize(
    "lines, status",
    [
        (["GET  / HTTP/1.1"], 400),
        (["GET / HTTP/2"], 400),
        (["GET /a b HTTP/1.1"], 400),
        (["G(T / HTTP/1.1"], 400),
        (["GET / HTTP/1.1", "no colon"], 400),
        (["GET / HTTP/1.1", "A : 1"], 400),
        (["GET / HTTP/1.1", " folded: 1"], 400),
        (["GET / HTTP/1.1", "A: x\ny: 2"], 400),
        (["GET / HTTP/1.1", "A: x\x00"], 400),
        (["POST / HTTP/1.1", "Content-Length: 1", "Content-Length: 1"], 400),
        (["POST / HTTP/1.1", "Content-Length: +1"], 400),
        (["POST / HTTP/1.1", "Content-Length: 1, 1"], 400),
        (["POST / HTTP/1.1", f"Content-Length: {messages.MOST_BODY_BYTES + 1}"], 413),
        (["POST / HTTP/1.1", "Transfer-Encoding: chunked", "Content-Length: 1"], 501),
        (["POST / HTTP/1.1", "Transfer-Encoding: gzip, chunked"], 501),
        (["POST / HTTP/1.1", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], 501),
        (["GET / HTTP/1.1", *(f"A{number}: 1" for number in range(messages.MOST_FIELDS + 1))], 431),
        (["GET / HTTP/1.1", f"A: {'x' * messages.MOST_HEAD_BYTES}"], 431),
    ],
)
def test_what_leaves_a_doubt_where_it_ends_is_refused(lines: list[str], status: int) -> None:
    with pytest.raises(BadMessage) as caught:
        parse_request(head(*lines))
    assert caught.value.status == status


@pytest.mark.parametrize("line", ["HTTP/2 200 OK", "HTTP/1.1 20 OK", "HTTP/1.1 600 OK", "200 OK", ""])
def test_a_status_line_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(BadMessage):
        parse_response(head(line), "GET")


def test_a_response_ends_by_its_length_its_chunks_or_its_connection() -> None:
    assert parse_response(head("HTTP/1.1 200 OK", "Content-Length: 7"), "GET").framing == Framing(length=7)
    assert parse_response(head("HTTP/1.1 200", "Transfer-Encoding: Chunked"), "GET").framing == Framing(chunked=True)
    assert parse_response(head("HTTP/1.1 200 "), "GET").framing == Framing()


def test_an_answer_to_head_speaks_of_a_length_and_has_no_body() -> None:
    parsed = parse_response(head("HTTP/1.1 200 OK", "Content-Length: 7"), "HEAD")
    assert parsed.framing == Framing(length=0)
    assert b"Content-Length: 7\r\n" in encode_response(parsed.response, keeps_open=True)


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_never_has_a_body_is_not_waited_for(status: int) -> None:
    parsed = parse_response(head(f"HTTP/1.1 {status} X"), "GET")
    assert parsed.framing == Framing(length=0)
    assert b"Content-Length" not in encode_response(parsed.response, keeps_open=True)


@pytest.mark.parametrize("line", [b"\r\n", b"-1\r\n", b"0x1\r\n", b"1;a=b\r\n", b"123456789\r\n", b"1\n"])
def test_a_chunk_without_a_plain_length_is_refused(line: bytes) -> None:
    with pytest.raises(BadMessage):
        parse_chunk_line(line)


def test_a_chunk_has_a_length_in_hexadecimal() -> None:
    assert parse_chunk_line(b"fF\r\n") == 255


NAMES = st.from_regex(r"X-[A-Za-z0-9-]{1,20}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30)
BODIES = st.binary(max_size=200)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=5), BODIES)
def test_what_is_written_is_read_again(fields: list[tuple[str, str]], body: bytes) -> None:
    written = encode_request(Request("POST", "/x", fields, body))
    start, _, rest = written.partition(b"\r\n\r\n")
    parsed = parse_request(start + b"\r\n\r\n")
    assert (parsed.request, parsed.framing) == (Request("POST", "/x", fields), Framing(length=len(body)))
    assert rest == body

    written = encode_response(Response(200, "OK", fields, body), keeps_open=True)
    start, _, rest = written.partition(b"\r\n\r\n")
    answered = parse_response(start + b"\r\n\r\n", "POST")
    assert (answered.response, answered.framing) == (Response(200, "OK", fields), Framing(length=len(body)))
    assert rest == body


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    for parse in (lambda: parse_request(data), lambda: parse_response(data, "GET"), lambda: parse_chunk_line(data)):
        try:
            parse()
        except BadMessage:
            continue
