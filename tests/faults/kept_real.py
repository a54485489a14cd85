"""F50 on a real SQS and S3 interface: from a record's bytes into the queue and the bucket, and out of them again."""

import random
from collections.abc import Iterator
from contextlib import closing
from typing import Final

from isthmus.console.dlq.sending import sender_of
from isthmus.console.wiring import Wiring, decider_of, entities_of, store_of
from isthmus.consumer.deadletters.port import Message
from isthmus.consumer.deadletters.reading import waiting_in
from isthmus.consumer.deadletters.sqs import SqsMailbox
from isthmus.consumer.processor import ProcessorSettings, ShardProcessor
from isthmus.lifecycle import ThreadStop
from isthmus.settings import load
from tests.fakes.processor_desk import raw_record
from tests.faults.kept import KINDS, LARGEST, SIZES
from tests.faults.real import Works, works
from tests.faults.row import Context, Result

_TEN_MIB: Final = "10 MiB"
_IN_THE_BUCKET: Final = "a letter in the bucket"
_HOLD: Final = 60


class _Parts:
    """What `consume` is made of, by the shop's own settings, in this process."""

    def __init__(self, shop: Works) -> None:
        self.shop = shop
        self.wiring = wiring = Wiring(load(shop.shop.config))
        entities = entities_of(wiring.settings, wiring.pipelines())
        self.store = store_of(wiring.settings, entities)
        by_name = {entity.name: entity for entity in entities}
        self.decider = decider_of(wiring.settings, self.store, by_name, wiring.clock, wiring.metrics)
        self.processor = ShardProcessor(
            "shardId-000000000000",
            self.decider,
            payloads=wiring.payloads(),
            stop=ThreadStop(),
            clock=wiring.clock,
            chance=random.Random(1),
            metrics=wiring.metrics,
            attempts=wiring.attempts,
            settings=ProcessorSettings(),
        )
        self.mailbox = SqsMailbox(shop.emulator.client("sqs"), wiring.settings.dead_letters.queue)
        self._payloads = wiring.payloads()

    def kept(self, number: int, data: bytes, result: Result) -> Iterator[str]:
        """Let it be parked and sent; give what is wrong with what comes out of the queue."""
        self.processor.process([raw_record(number, data)])
        sender = sender_of(self.wiring, self.store, ThreadStop())
        assert sender is not None
        if sender.turn() != 1:
            yield "I8: the queue takes no letter"
            return
        messages = self._received()
        if len(messages) != 1:
            yield f"I1: {len(messages)} letters"
        assert self._payloads is not None
        for message in messages:
            result.struck(_IN_THE_BUCKET, int("dataref" in message.attributes))
            if waiting_in(message, self._payloads.get).event != data:
                yield "I1: the letter holds other bytes"
            self.mailbox.delete(message)
        statement = f"SELECT event FROM isthmus_parked WHERE sequence = '{number}'"  # noqa: S608 - a number
        if [bytes(row) for (row,) in self.shop.shop.read(statement)] != [data]:
            yield "I1: the lot holds other bytes"

    def _received(self) -> list[Message]:
        # One answer alone may be empty by accident.
        return self.mailbox.receive(10, _HOLD) or self.mailbox.receive(10, _HOLD)


def any_payload(context: Context) -> Result:
    """F50: every kind of bytes, in sizes around the limits of a message, and up to 10 MiB."""
    result = Result.expecting([*KINDS, _TEN_MIB, _IN_THE_BUCKET])
    with works() as shop:
        shop.shop.set("[metrics]", f'[claim_check]\nbucket = "{shop.shop.name}"\n[metrics]')
        said = shop.shop.command("setup")
        assert said.code == 0, said
        parts = _Parts(shop)
        with closing(parts.decider):
            for number in range(context.first, context.first + context.goal):
                chance = random.Random(number)
                kind, size = list(KINDS)[number % len(KINDS)], chance.choice([chance.randrange(3_000), *SIZES])
                if number % (5 * len(KINDS)) == 0:
                    size = LARGEST - 1
                    result.struck(_TEN_MIB)
                for sentence in parts.kept(1 + number, KINDS[kind](chance, size), result):
                    result.violated(f"seed {number}, {kind}, about {size} bytes: {sentence}")
                result.struck(kind)
                result.counts["payloads"] += 1
                context.tell(number - context.first + 1, context.goal)
    return result
