"""Decoding bundles, beside a bare orjson loop."""

import orjson

from benchmarks.rows import Measured, Prepared, Row, against, interleaved
from isthmus.change import Change, Verb, lane_of, transaction_id, version_of
from isthmus.codec import bundle, decode, encode

BUNDLES = 200
CHANGES = 80
"""Changes of one bundle: about 45 KB, as the publisher cuts them under load."""


def rows(rounds: int) -> list[Row]:
    """Measure changes per second, from the bytes of a record to changes."""
    records = [_record(number) for number in range(BUNDLES)]

    def ours() -> int:
        return sum(len(decode(record)) for record in records)

    def bare() -> int:
        found = 0
        for record in records:
            for _ in orjson.loads(record):
                found += 1
        return found

    rates = interleaved(rounds, {"ours": _always(ours), "bare": _always(bare)})
    return [
        against(
            "decode of bundles, against a bare orjson loop",
            rates["ours"],
            rates["bare"],
            "changes/s",
            note="wanted: 100,000 changes/s or a ratio of 0.5, whichever is less",
        )
    ]


def _always(work: Measured) -> Prepared:
    return lambda: work


def _record(number: int) -> bytes:
    return bundle([_event(number * CHANGES + each) for each in range(CHANGES)])


def _event(position: int) -> bytes:
    key, version = f"flight/UA{position}/2013-01-01/EWR", version_of(0, position)
    return encode(
        Change(
            id=transaction_id("/flights/flights", key, version),
            source="/flights/flights",
            entity="flight",
            verb=Verb.UPSERT,
            key=key,
            version=version,
            lane=lane_of(key, 64),
            epoch=1_795_000_000,
            time="2013-01-01T10:15:00.250Z",
            data={
                "carrier_code": "UA",
                "carrier_name": "United Air Lines Inc.",
                "flight_number": position % 9999,
                "tail_number": "N14228",
                "origin": "EWR",
                "destination": "IAH",
                "status": "departed",
                "scheduled_departure": "2013-01-01T10:15:00Z",
                "actual_departure": "2013-01-01T10:17:00Z",
                "scheduled_arrival": "2013-01-01T14:19:00Z",
                "actual_arrival": None,
            },
            rowhash="0123456789abcdef0123456789abcdef",
            sourcekey='["UA",1545,20130101,"EWR"]',
            dataschema="flight/1",
        )
    )
