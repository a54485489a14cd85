"""Large payloads in memory, with a switch that makes the store fail."""

from isthmus.errors import IsthmusError, Poison
from isthmus.payloads import Folder, is_name_of, payload_name


class MemoryPayloads:
    """Passes `tests/contract/payloads_contract.py`. While `failing` is set, both methods raise it."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.failing: IsthmusError | None = None

    def put(self, content: bytes, folder: Folder = Folder.STREAM) -> str:
        self._fail()
        name = payload_name(content, folder)
        self.objects[f"memory://{name}"] = content
        return f"memory://{name}"

    def get(self, reference: str) -> bytes:
        self._fail()
        content = self.objects.get(reference)
        if content is None or not is_name_of(content, reference.removeprefix("memory://")):
            raise Poison("payload-missing")
        return content

    def _fail(self) -> None:
        if self.failing is not None:
            raise self.failing
