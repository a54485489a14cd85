"""What every `Payloads` does. A test class inherits it and gives the fixture `subject`."""

from dataclasses import dataclass
from typing import Protocol

import pytest

from isthmus.errors import Poison, TargetDown
from isthmus.payloads import Folder, Payloads


class Saboteur(Protocol):
    """Reaches behind an adapter's back."""

    def remove(self, reference: str) -> None:
        """Make the object vanish."""
        ...

    def replace(self, reference: str, content: bytes) -> None:
        """Put another content under the same name."""
        ...


@dataclass(frozen=True)
class Subject:
    """An adapter, one of its kind that cannot reach its store, and who spoils the store."""

    payloads: Payloads
    unreachable: Payloads
    saboteur: Saboteur


class PayloadsContract:
    @pytest.mark.parametrize("content", [b"", b"\x00\xff", b'{"a": 1}', bytes(range(256)) * 8192])
    def test_what_was_put_comes_back_byte_for_byte(self, subject: Subject, content: bytes) -> None:
        assert subject.payloads.get(subject.payloads.put(content)) == content

    def test_putting_again_gives_the_same_reference_and_harms_nothing(self, subject: Subject) -> None:
        first = subject.payloads.put(b"twice")
        assert subject.payloads.put(b"twice") == first
        assert subject.payloads.get(first) == b"twice"

    def test_other_contents_have_other_references(self, subject: Subject) -> None:
        assert subject.payloads.put(b"one") != subject.payloads.put(b"other")

    def test_each_kind_of_object_lies_in_a_folder_of_its_own(self, subject: Subject) -> None:
        references = {folder: subject.payloads.put(b"the same", folder) for folder in Folder}
        assert [reference.split("/")[-2] for reference in references.values()] == ["payload", "parked", "entities"]
        subject.saboteur.remove(references[Folder.STREAM])
        assert [subject.payloads.get(references[folder]) for folder in (Folder.PARKED, Folder.ENTITIES)] == [
            b"the same"
        ] * 2

    def test_what_vanished_is_poison(self, subject: Subject) -> None:
        reference = subject.payloads.put(b"vanishes")
        subject.saboteur.remove(reference)
        with pytest.raises(Poison) as caught:
            subject.payloads.get(reference)
        assert caught.value.reason == "payload-missing"

    def test_what_was_replaced_is_poison(self, subject: Subject) -> None:
        reference = subject.payloads.put(b"right")
        subject.saboteur.replace(reference, b"wrong")
        with pytest.raises(Poison) as caught:
            subject.payloads.get(reference)
        assert caught.value.reason == "payload-missing"

    @pytest.mark.parametrize("reference", ["", "payload/", "s3://elsewhere/payload/00", "file:///etc/passwd"])
    def test_a_reference_that_is_none_is_poison(self, subject: Subject, reference: str) -> None:
        with pytest.raises(Poison) as caught:
            subject.payloads.get(reference)
        assert caught.value.reason == "payload-missing"

    def test_an_outage_is_no_poison(self, subject: Subject) -> None:
        reference = subject.payloads.put(b"kept")
        with pytest.raises(TargetDown):
            subject.unreachable.put(b"new")
        with pytest.raises(TargetDown):
            subject.unreachable.get(reference)
