"""The translators of now, one for each source and generation that something waits of."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isthmus.change import Change, generation_of, position_of
from isthmus.codec import DEFAULT_LIMITS, decode
from isthmus.console.producing import open_references, translator_of
from isthmus.console.wiring import Wiring, source_attribute
from isthmus.errors import Fatal, Poison, Transient
from isthmus.pipeline import Pipeline
from isthmus.producer.sources.port import SourceRow
from isthmus.producer.translator import Translator

if TYPE_CHECKING:
    from isthmus.producer.sources.references import JoinedReferences, NoReferences

UNKNOWN_SOURCE = "unknown-source"


class SourcesOfNow:
    """`Rows` by the settings. Reference tables are read from the back office when they are first needed."""

    def __init__(self, wiring: Wiring, pipelines: Mapping[str, Pipeline]) -> None:
        self._wiring = wiring
        self._pipelines = pipelines
        application = wiring.settings.application
        self._names = {source_attribute(application, name): name for name in pipelines}
        self._references: dict[str, JoinedReferences | NoReferences] = {}
        self._translators: dict[tuple[str, int], Translator] = {}

    def translate(self, waiting: Change, row: Mapping[str, Any]) -> Sequence[Change]:
        """Give the changes of a row; see `Rows`."""
        name = self._names.get(waiting.source)
        if name is None:
            raise Poison(UNKNOWN_SOURCE, "The settings know its source no more, so nobody can translate its row.")
        translator = self._translator(name, generation_of(waiting.version))
        again = SourceRow(row, position_of(waiting.version), "", waiting.sourcekey)
        encoded = translator.translate(again, waiting.epoch)
        return [change for each in encoded for change in decode(each.event) if isinstance(change, Change)]

    def close(self) -> None:
        """Give connections back. Safe to repeat."""
        for references in self._references.values():
            references.close()

    def _translator(self, name: str, generation: int) -> Translator:
        made = self._translators.get((name, generation))
        if made is None:
            made = translator_of(
                self._wiring,
                name,
                self._pipelines[name],
                self._references_of(name),
                generation=generation,
                # What is made goes into no record: the largest document that is read is the bound.
                payloads=None,
                max_event_bytes=DEFAULT_LIMITS.max_bytes,
            )
            self._translators[name, generation] = made
        return made

    def _references_of(self, name: str) -> "JoinedReferences | NoReferences":
        references = self._references.get(name)
        if references is None:
            references = self._references[name] = open_references(self._wiring, self._wiring.settings.sources[name])
            try:
                references.refresh_if_due()
            except Transient as error:
                del self._references[name]
                references.close()
                raise Fatal(
                    f"The reference tables of the source {name} cannot be read: {error.message}",
                    hint="What needs them stays as it was. Run it again when the back office is there.",
                ) from error
        return references
