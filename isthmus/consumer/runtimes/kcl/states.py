"""A child's life: its named states, and what each question of the daemon means in each. Pure.

| | `initialize` | `processRecords` | `shutdownRequested` | `leaseLost` | `shardEnded` |
|---|---|---|---|---|---|
| new | begin | refuse | save | give up | refuse |
| reading | refuse | decide | save | give up | end |
| stopping | refuse | skip | save | give up | end |
| lost | refuse | skip | ignore | ignore | refuse |
| ended | refuse | refuse | ignore | ignore | ignore |

begin: make what decides, and go to reading. decide: decide the records, save when it is time; a stop that was requested
meanwhile leads to stopping. save: save what is decided, and go to stopping. skip: answer, and do nothing; nothing
beyond what is decided is ever saved. give up: go to lost. end: save the shard's end and go to ended, if everything that
was given is decided; otherwise refuse. ignore: answer. refuse: end the process without an answer.

A checkpoint that is refused because the lease is gone leads to lost too.
"""

from collections.abc import Mapping
from enum import Enum, StrEnum, auto

from isthmus.consumer.runtimes.kcl.protocol import (
    Callback,
    Initialize,
    LeaseLost,
    ProcessRecords,
    ShardEnded,
    ShutdownRequested,
)


class ChildState(StrEnum):
    """Where a child is in its life."""

    NEW = "new"
    """It has no shard yet."""
    READING = "reading"
    """It decides what it is given."""
    STOPPING = "stopping"
    """It decides nothing more, but still holds the lease: what is decided may be saved."""
    LOST = "lost"
    """The shard is another's: no effect and no checkpoint any more."""
    ENDED = "ended"
    """The shard's end is saved."""


class Act(Enum):
    """What is done with a question of the daemon; the table above says what each means."""

    BEGIN = auto()
    DECIDE = auto()
    SAVE = auto()
    SKIP = auto()
    GIVE_UP = auto()
    END = auto()
    IGNORE = auto()
    REFUSE = auto()


_ACTS: Mapping[ChildState, Mapping[type[Callback], Act]] = {
    ChildState.NEW: {
        Initialize: Act.BEGIN,
        ShutdownRequested: Act.SAVE,
        LeaseLost: Act.GIVE_UP,
    },
    ChildState.READING: {
        ProcessRecords: Act.DECIDE,
        ShutdownRequested: Act.SAVE,
        LeaseLost: Act.GIVE_UP,
        ShardEnded: Act.END,
    },
    ChildState.STOPPING: {
        ProcessRecords: Act.SKIP,
        ShutdownRequested: Act.SAVE,
        LeaseLost: Act.GIVE_UP,
        ShardEnded: Act.END,
    },
    ChildState.LOST: {
        ProcessRecords: Act.SKIP,
        ShutdownRequested: Act.IGNORE,
        LeaseLost: Act.IGNORE,
    },
    ChildState.ENDED: {
        ShutdownRequested: Act.IGNORE,
        LeaseLost: Act.IGNORE,
        ShardEnded: Act.IGNORE,
    },
}


def act_on(state: ChildState, question: Callback) -> Act:
    """Say what is done with a question in a state."""
    return _ACTS[state].get(type(question), Act.REFUSE)
