"""What can go wrong between the program and AWS: the one enumeration of fault names, and what each one strikes."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Traffic(StrEnum):
    """The kinds of requests that faults strike. Everything else passes."""

    PUT = "put"
    """PutRecords."""
    WATERMARK = "watermark"
    """A write of a source's watermark."""
    OWNERSHIP = "ownership"
    """Any other write of a lease, ours or the Kinesis Client Library's: take, beat, give back."""
    CHECKPOINT = "checkpoint"
    """A write of a shard's checkpoint, which the Kinesis Client Library keeps in the lease."""
    READ = "read"
    """GetRecords."""


class Fault(StrEnum):
    """Every fault. Its counter goes up once its effect has happened."""

    PUT_PARTIAL = "put_partial"
    """Some entries of a PutRecords are refused, the others accepted."""
    PUT_ACCEPTED_THEN_RESET = "put_accepted_then_reset"
    """All is accepted, and the answer is lost with the connection."""
    PUT_DELIVERED_LATE = "put_delivered_late"
    """The connection is lost first; the request arrives seconds later, behind its own repetition."""
    PUT_THROTTLED = "put_throttled"
    PUT_TIMEOUT = "put_timeout"
    """Nothing is accepted, nothing is answered, until the client gives up, or after a while its connection is lost."""
    PUT_500 = "put_500"
    WATERMARK_FAILED = "watermark_failed"
    WATERMARK_TIMED_OUT = "watermark_timed_out"
    WATERMARK_ANSWER_LOST = "watermark_answer_lost"
    """The write takes effect; its answer is lost."""
    OWNERSHIP_FAILED = "ownership_failed"
    OWNERSHIP_TIMED_OUT = "ownership_timed_out"
    OWNERSHIP_ANSWER_LOST = "ownership_answer_lost"
    CHECKPOINT_FAILED = "checkpoint_failed"
    CHECKPOINT_TIMED_OUT = "checkpoint_timed_out"
    CHECKPOINT_ANSWER_LOST = "checkpoint_answer_lost"
    READ_FAILED = "read_failed"
    READ_THROTTLED = "read_throttled"
    READ_REPEATED = "read_repeated"
    """The iterator for the next page is that of this page: its records come again."""
    ITERATOR_EXPIRED = "iterator_expired"
    PRODUCER_KILLED = "producer_killed"
    """SIGKILL, and a new one started. Who owns the processes does this, not the proxy."""
    CONSUMER_KILLED = "consumer_killed"


STRIKES: Final[Mapping[Traffic, tuple[Fault, ...]]] = {
    Traffic.PUT: (
        Fault.PUT_PARTIAL,
        Fault.PUT_ACCEPTED_THEN_RESET,
        Fault.PUT_DELIVERED_LATE,
        Fault.PUT_THROTTLED,
        Fault.PUT_TIMEOUT,
        Fault.PUT_500,
    ),
    Traffic.WATERMARK: (Fault.WATERMARK_FAILED, Fault.WATERMARK_TIMED_OUT, Fault.WATERMARK_ANSWER_LOST),
    Traffic.OWNERSHIP: (Fault.OWNERSHIP_FAILED, Fault.OWNERSHIP_TIMED_OUT, Fault.OWNERSHIP_ANSWER_LOST),
    Traffic.CHECKPOINT: (Fault.CHECKPOINT_FAILED, Fault.CHECKPOINT_TIMED_OUT, Fault.CHECKPOINT_ANSWER_LOST),
    Traffic.READ: (Fault.READ_FAILED, Fault.READ_THROTTLED, Fault.READ_REPEATED, Fault.ITERATOR_EXPIRED),
}
"""Each fault of a request once."""
