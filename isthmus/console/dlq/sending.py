"""The task that sends the copies of poison changes to the queue, for whoever consumes."""

from collections.abc import Callable

from isthmus import aws
from isthmus.console.dlq.place import NO_QUEUE, NO_QUEUE_HINT, queue_name
from isthmus.console.wiring import Wiring
from isthmus.consumer.deadletters.sender import Sender
from isthmus.consumer.deadletters.sqs import SqsQueue
from isthmus.consumer.stores.port import HasOutbox, Store
from isthmus.lifecycle import Stop
from isthmus.log import get_logger

log = get_logger(__name__)


def sender_of(wiring: Wiring, store: Store, stop: Stop, *, on_duty: Callable[[], bool] = lambda: True) -> Sender | None:
    """Give what sends while it is on duty; None where there is no queue.

    It asks nobody for the queue before there is something to send.
    """
    if not isinstance(store, HasOutbox):
        return None
    name = queue_name(wiring.settings)
    if name is None:
        log.warning("dead_letters_off", why=NO_QUEUE, hint=NO_QUEUE_HINT)
        return None
    payloads = wiring.payloads()
    return Sender(
        store.outbox(payloads, stop=stop),
        SqsQueue(aws.client(wiring.access, "sqs"), name),
        payloads,
        stop=stop,
        chance=wiring.chance,
        metrics=wiring.metrics,
        attempts=wiring.attempts.watch("dead_letters"),
        on_duty=on_duty,
    )
