"""A user's plan as it is written: what it means, and every mistake in it at once."""

from pathlib import Path

import pytest

from isthmus.console.proxy.kinds import FITS, Breaks, Kind, Manner, Service, meets
from isthmus.console.proxy.planfile import named_apart, not_in_front, read_options, read_plan
from isthmus.console.proxy.rules import Rule
from isthmus.console.proxy.upstreams import Upstream, of_http, of_postgres, settings_of
from isthmus.console.proxy.wire import Address

PLAN = """
seed = 7

[[fault]]
service = "kinesis"
operation = ["PutRecords", "PutRecord"]
kind = "throttle"
every = 10
times = 3
code = "LimitExceededException"

[[fault]]
name = "slow"
service = "postgres"
operation = "commit"
kind = "latency"
seconds = 1
jitter = 0.5
first = 5
last = 9
from = 10
until = 30.5

[[fault]]
service = "dynamodb"
kind = "answer-lost"
probability = 0.1
breaks = "goaway"
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "faults.toml"
    path.write_text(text, encoding="utf-8")
    return path


def mistakes(*specs: str) -> list[str]:
    return [str(mistake) for mistake in read_options(specs).mistakes]


def test_a_file_and_options_say_the_same(tmp_path: Path) -> None:
    read = read_plan(written(tmp_path, PLAN))
    options = read_options(
        [
            "kinesis PutRecords,PutRecord throttle every=10 times=3 code=LimitExceededException",
            "postgres commit latency seconds=1 jitter=0.5 first=5 last=9 from=10 until=30.5 name=slow",
            "dynamodb answer-lost probability=0.1 breaks=goaway",
        ]
    )
    assert (read.mistakes, options.mistakes, read.seed) == ([], [], 7)
    assert read.rules == options.rules
    assert read.rules == [
        Rule(
            "kinesis PutRecords,PutRecord throttle",
            Service.KINESIS,
            Kind.THROTTLE,
            frozenset({"PutRecords", "PutRecord"}),
            every=10,
            times=3,
            manner=Manner(code="LimitExceededException"),
        ),
        Rule(
            "slow",
            Service.POSTGRES,
            Kind.LATENCY,
            frozenset({"commit"}),
            first=5,
            last=9,
            begins=10.0,
            ends=30.5,
            manner=Manner(seconds=1.0, jitter=0.5),
        ),
        Rule(
            "dynamodb answer-lost",
            Service.DYNAMODB,
            Kind.ANSWER_LOST,
            probability=0.1,
            manner=Manner(breaks=Breaks.GOAWAY),
        ),
    ]


def test_a_kind_that_happens_to_some_operations_only_means_those() -> None:
    rules = read_options(["sqs partial", "kinesis repeat", "postgres throttle"]).rules
    assert [rule.operations for rule in rules] == [
        {"SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"},
        {"GetRecords"},
        {"connect"},
    ]


@pytest.mark.parametrize("service", list(Service))
def test_every_kind_that_fits_a_service_can_be_planned(service: Service) -> None:
    needs = {Kind.LATENCY: " seconds=1", Kind.CUT: " bytes=1"}
    for kind in Kind:
        read = read_options([f"{service} {kind}{needs.get(kind, '')}"])
        assert bool(read.rules) == (kind in FITS[service])
        assert bool(read.mistakes) != bool(read.rules)
        assert not read.rules or set(meets(service, kind)) == set(read.rules[0].operations)


def test_every_mistake_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        'sed = 1\nseed = "x"\n[[fault]]\nservice = "kinesis"\nkind = "trottle"\nevery = "2"\n'
        '[[fault]]\nservice = "s3"\noperation = ["PutObjekt"]\nkind = "partial"\n'
        '[[fault]]\nservice = "s3"\noperation = "PutObjekt"\nkind = "cut"\n',
    )
    kinds = ", ".join(f'"{kind}"' for kind in Kind if kind is not Kind.EXPIRED)
    assert [str(each).removeprefix(f"{path}: ") for each in read_plan(path).mistakes] == [
        "sed: is not known here; known are seed, and a table [[fault]] for each fault",
        'seed = "x": must be a whole number',
        f'fault 1: kind = "trottle": must be {kinds} or "expired"',
        'fault 1: every = "2": must be a whole number',
        f'fault 2: kind = "partial": does not happen to s3; possible are {", ".join(list(Kind)[:9])}',
        'fault 3: operation = "PutObjekt": is no operation of s3 that is known here; did you mean PutObject?',
        "fault 3: bytes: is required: how many bytes of the answer pass",
    ]


@pytest.mark.parametrize(
    "spec, told",
    [
        ("kinesis", "must read"),
        ("kinesis PutRecords throttle often every=1", "must read"),
        ("kinesis throttle every=", "must read"),
        ("kinesis throttle every=0", "every = 0: must be 1 or more"),
        ("kinesis throttle every=2 probability=0.5", "write one of the two"),
        ("kinesis throttle probability=0", "must be more than 0, and 1 at most"),
        ("kinesis throttle probability=nan", "must be more than 0, and 1 at most"),
        ("kinesis throttle first=5 last=4", "must not be less than first"),
        ("kinesis throttle from=5 until=5", "must be later than from"),
        ("kinesis throttle from=-1", "must be 0 or more"),
        ("kinesis throttle code=SlowDown", "is none by which kinesis throttles"),
        ("kinesis throttle seconds=1", "says nothing about throttle; it is for latency, late, half-open"),
        ("kinesis latency", "is required: how long"),
        ("kinesis latency seconds=0", "must be more than 0"),
        ("kinesis latency seconds=nan", "must be more than 0"),
        ("kinesis PutRecord partial", "partial does not happen to PutRecord; it does to PutRecords"),
        ("postgres commit throttle", "throttle does not happen to commit; it does to connect"),
        ("postgres connect answer-lost", "answer-lost does not happen to connect"),
        ("kinesis throttle evry=1", "did you mean every?"),
    ],
)
def test_a_mistake_says_what_is_allowed(spec: str, told: str) -> None:
    (found,) = mistakes(spec)
    assert told in found
    assert f'"{spec}"' in found


@pytest.mark.parametrize("text", ["seed = ", "fault = 1", "[fault]\nkind = 1", "\udcff"])
def test_a_file_that_is_no_plan_is_a_mistake(tmp_path: Path, text: str) -> None:
    path = tmp_path / "faults.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert read_plan(path).mistakes
    assert read_plan(tmp_path / "nowhere.toml").mistakes


def test_a_fault_of_a_service_without_a_proxy_is_a_mistake() -> None:
    rules = read_options(["sqs throttle", "sqs error", "postgres commit reset", "kinesis throttle"]).rules
    told = [str(mistake) for mistake in not_in_front(rules, {Service.KINESIS})]
    assert told == [
        "the plan: sqs: has no proxy; name where it is with --sqs URL",
        "the plan: postgres: has no proxy; name where it is with --postgres HOST:PORT",
    ]


def test_two_faults_of_one_name_are_told_apart() -> None:
    rules = named_apart(read_options(["sqs throttle", "sqs throttle every=2", "sqs throttle every=3"]).rules)
    assert [rule.name for rule in rules] == ["sqs throttle", "sqs throttle (2)", "sqs throttle (3)"]


@pytest.mark.parametrize(
    "url, where",
    [
        ("http://127.0.0.1:4566", Address("127.0.0.1", 4566)),
        ("http://localstack:4566/", Address("localstack", 4566)),
        ("http://host", Address("host", 80)),
        ("http://[::1]:1", Address("::1", 1)),
    ],
)
def test_where_a_service_is(url: str, where: Address) -> None:
    found = of_http(url)
    assert isinstance(found, Upstream)
    assert found.where == where


@pytest.mark.parametrize(
    "url", ["https://kinesis.eu-west-1.amazonaws.com", "127.0.0.1:1", "http://a:b@host", "http://h/p", "http://h:x", ""]
)
def test_what_is_no_address_of_a_service(url: str) -> None:
    assert isinstance(of_http(url), str)


@pytest.mark.parametrize(
    "text, where, line",
    [
        ("localhost:5432", Address("localhost", 5432), "postgresql://USER@127.0.0.1:9/DATABASE"),
        ("/tmp/s", Path("/tmp/s/.s.PGSQL.5432"), "postgresql://USER@127.0.0.1:9/DATABASE"),  # noqa: S108 - a name
        (
            "postgresql://postgres@/postgres?host=/tmp/s",
            Path("/tmp/s/.s.PGSQL.5432"),  # noqa: S108 - a name
            "postgresql://postgres@127.0.0.1:9/postgres",
        ),
        ("postgresql://a%40b@db:6000/c", Address("db", 6000), "postgresql://a%40b@127.0.0.1:9/c"),
    ],
)
def test_where_postgresql_is_and_the_address_to_write_instead(text: str, where: Address | Path, line: str) -> None:
    found = of_postgres(text)
    assert isinstance(found, Upstream)
    assert found.where == where
    ports = {Service.KINESIS: 8, Service.POSTGRES: 9}
    assert settings_of(ports, {Service.POSTGRES: found}) == [
        "[aws.endpoints]",
        'kinesis = "http://127.0.0.1:8"',
        "",
        "[store]",
        f'url = "{line}"',
    ]


@pytest.mark.parametrize("text", ["5432", "host:0", "host:70000", "postgresql://a:secret@h/d", "postgresql://h:x/d"])
def test_what_is_no_address_of_postgresql(text: str) -> None:
    found = of_postgres(text)
    assert isinstance(found, str)
    assert "secret" not in found
