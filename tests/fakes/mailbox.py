"""A dead-letter queue in memory that hides, gives again and forgets as SQS does."""

from collections.abc import Callable, Sequence

from isthmus.consumer.deadletters.port import MOST_LETTERS, Letter, Message
from tests.fakes.clock import FakeClock


class MemoryMailbox:
    """`Mailbox` on a fake clock. Messages come in the order in which they were put."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.lying: dict[str, Letter] = {}
        self.hidden_until: dict[str, float] = {}
        self.receipts: dict[str, int] = {}
        self.calls: list[str] = []
        self.before: Callable[[str], object] = lambda _call: None
        """Called before each call takes effect, with its name; what it raises is raised instead."""
        self.after: Callable[[str], object] = lambda _call: None
        """The same after it took effect: its answer is lost then."""
        self.answers_alone = 0
        """So many receipts give nothing, though something lies there."""

    def put(self, *letters: Letter) -> None:
        for letter in letters:
            self.lying[f"m{len(self.receipts)}"] = letter
            self.receipts[f"m{len(self.receipts)}"] = 0

    def receive(self, most: int, hold: int) -> list[Message]:
        self._call("receive")
        found = list[Message]()
        if self.answers_alone:
            self.answers_alone -= 1
        else:
            now = self._clock.monotonic()
            visible = [name for name in self.lying if self.hidden_until.get(name, 0) <= now]
            for name in visible[: min(most, MOST_LETTERS)]:
                self.hidden_until[name] = now + hold
                self.receipts[name] += 1
                body, attributes = self.lying[name]
                found.append(Message(name, f"{name}/{self.receipts[name]}", body, attributes, 0, self.receipts[name]))
        self.after("receive")
        return found

    def delete(self, message: Message) -> None:
        self._call("delete")
        # An old receipt is taken, and does nothing.
        if message.handle == f"{message.identity}/{self.receipts[message.identity]}":
            self.lying.pop(message.identity, None)
        self.after("delete")

    def release(self, messages: Sequence[Message]) -> None:
        self._call("release")
        for message in messages:
            if message.identity in self.lying:
                self.hidden_until[message.identity] = 0
        self.after("release")

    def size(self) -> int:
        return len(self.lying)

    def visible(self) -> list[str]:
        """Give the identities of the messages that anybody could have now."""
        return [name for name in self.lying if self.hidden_until.get(name, 0) <= self._clock.monotonic()]

    def _call(self, name: str) -> None:
        self.calls.append(name)
        self.before(name)
