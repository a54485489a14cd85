"""From a source's row to encoded changes: the user's functions, guarded, and everything that a change carries.

Whatever the user's functions do with a row, one thing comes out: its changes, nothing (it was filtered), or a single
*untranslated* change in its place with the raw row inside. Only what has nothing to do with the row gets out as an
error.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from prometheus_client import Counter

from isthmus.change import (
    MAX_KEY_BYTES,
    RAW_KEY_PREFIX,
    Change,
    Kind,
    Verb,
    lane_of,
    row_hash,
    transaction_id,
    version_of,
)
from isthmus.clock import Clock, rfc3339
from isthmus.codec import canonical, encode, json_bytes
from isthmus.metrics import Metrics
from isthmus.payloads import Payloads
from isthmus.pipeline import Delete, Pipeline, Row, Skip, Upsert
from isthmus.producer.contract import Contract
from isthmus.producer.sources.port import SourceRow
from isthmus.producer.usercode import (
    DOUBLE_KEY,
    KEY_FAILED,
    MAX_REASON,
    TOO_DEEP,
    TOO_LARGE,
    TRANSLATE_FAILED,
    WRONG_KIND,
    WRONG_RETURN,
    Untranslatable,
    checked_key,
    guarded,
    kind_of,
    milliseconds,
    words,
)
from isthmus.rawrow import row_out
from isthmus.references import References

NOTHING = "nothing"
"""The reason under which a row is counted as filtered when its translation is an empty list."""

_LISTS = (list, tuple)

OTHER = "other"
MAX_REASONS = 50
"""So many different reasons of a `Skip` are counted by themselves, the rest as `other`: they are labels of a metric."""


class Encoded(NamedTuple):
    """One change, ready to be published."""

    lane: int
    event: bytes
    id: str
    key: str


class ReferenceTables(References, Protocol):
    """References whose owner has them loaded again now and then."""

    def refresh_if_due(self) -> None:
        """Load the tables if they never were, or if it is time.

        Raises as a source does only before the first load succeeded; later on what is there stays.
        """
        ...


class _Facts(NamedTuple):
    """What all changes of one row have in common."""

    version: str
    epoch: int
    time: str
    rowhash: str
    sourcekey: str


class Translator:
    """Makes changes of the rows of one source.

    `source` is the CloudEvents source, `name` the short one in metrics and raw keys. `key_columns` are what the key
    function gets of a row. `time_column` holds when the back office made the change (an aware datetime, RFC 3339 text,
    or whole milliseconds since 1970); where it holds none, and without one, the time of detection is taken.
    `claim_threshold` is the size in bytes from which on data goes to `payloads`, `max_event_bytes` what fits into a
    record.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        source: str,
        name: str,
        key_columns: Sequence[str],
        generation: int,
        lanes: int,
        references: ReferenceTables,
        clock: Clock,
        metrics: Metrics,
        payloads: Payloads | None = None,
        claim_threshold: int = 256 * 1024,
        max_event_bytes: int = 1024 * 1024 - 10,
        type_prefix: str = "isthmus",
        time_column: str | None = None,
    ) -> None:
        """Load nothing yet. Raises ValueError for a prefix or an entity name that makes no CloudEvents type."""
        self._pipeline = pipeline
        self._source = source
        self._name = name
        self._key_columns = tuple(key_columns)
        self._generation = generation
        self._lanes = lanes
        self._references = references
        self._clock = clock
        self._payloads = payloads
        self._claim_threshold = claim_threshold
        self._most_bytes = max_event_bytes
        self._prefix = type_prefix
        self._time_column = time_column
        self._dataschema = f"{pipeline.entity}/{pipeline.version}"
        self._verb = Verb.EVENT if pipeline.kind is Kind.EVENT else Verb.UPSERT
        self._contract = Contract(pipeline.contract)
        self._filtered = metrics.filtered
        self._reasons: dict[str, Counter] = {}
        self._counts: dict[Verb, Counter] = {
            verb: metrics.translated.labels(name, verb.value) for verb in Verb if verb is not Verb.MARKER
        }
        self._last_time = (-1, "")
        self._encode(self._verb, "probe", _Facts(version_of(generation, 0), 1, "", "", ""), b"{}")

    def refresh(self) -> None:
        """Load reference tables again where that is due. Raises as a source does before the first load succeeded."""
        self._references.refresh_if_due()

    def translate(self, row: SourceRow, epoch: int) -> list[Encoded]:
        """Give the row's changes, none when it was filtered.

        Raises `Transient` or `TargetDown` when a large payload cannot be stored now (safe to repeat), and what the
        user's functions raise of our own errors, `Poison` excepted: a table that is not in the settings is no fault
        of the row.
        """
        # Before the user's functions see the row, and read-only for them: what they do must not change its hash.
        facts = self._facts(row, epoch)
        values = MappingProxyType(row.values)
        try:
            key = self._key(values)
        except Untranslatable as failure:
            return [self._untranslated(self._raw_key(row), facts, row, failure)]
        try:
            return self._changes(values, key, facts)
        except Untranslatable as failure:
            return [self._untranslated(key, facts, row, failure)]

    def _facts(self, row: SourceRow, epoch: int) -> _Facts:
        try:
            text = canonical(row.values)
        except ValueError:
            # A value that is no JSON spoils nothing as long as the translator does not need it.
            text = canonical(row_out(row.values))
        version = version_of(self._generation, row.position)
        return _Facts(version, epoch, self._time(row.values), row_hash(text), row.sourcekey)

    def _time(self, values: Mapping[str, Any]) -> str:
        if self._time_column is not None:
            try:
                return rfc3339(milliseconds(values[self._time_column]))
            except (LookupError, ValueError, TypeError, OverflowError, OSError):
                pass  # a time is for people: its absence must not keep a change from being applied
        now = self._clock.now_ms()
        if self._last_time[0] != now:
            self._last_time = (now, rfc3339(now))
        return self._last_time[1]

    def _key(self, values: Row) -> str:
        columns = {name: values[name] for name in self._key_columns}
        return checked_key(guarded(KEY_FAILED, self._pipeline.key, columns))

    def _raw_key(self, row: SourceRow) -> str:
        key = f"{RAW_KEY_PREFIX}raw/{self._name}/{row.sourcekey}"
        if len(key.encode()) <= MAX_KEY_BYTES:
            return key
        return f"{RAW_KEY_PREFIX}raw/{self._name}/{RAW_KEY_PREFIX}{row_hash(row.sourcekey.encode())}"

    def _changes(self, values: Row, key: str, facts: _Facts) -> list[Encoded]:
        made = guarded(TRANSLATE_FAILED, self._pipeline.translate, values, self._references)
        if not isinstance(made, _LISTS):
            raise Untranslatable(WRONG_RETURN, f"The translator returned a {kind_of(made)} and not a list.")
        if not made:
            self._count_filtered(NOTHING)
            return []
        if Skip in map(type, made):
            return self._skipped(made)
        # All of them are checked before any is stored or counted: a row is translated wholly or not at all.
        changes = [self._change(item, key) for item in made]
        if len(changes) > 1 and len({key for _, key, _ in changes}) < len(changes):
            raise Untranslatable(DOUBLE_KEY, "The translator made two changes of one key from one row.")
        encoded = [self._fitting(verb, its_key, facts, data) for verb, its_key, data in changes]
        for verb, _, _ in changes:
            self._counts[verb].inc()
        return encoded

    def _skipped(self, made: Sequence[Any]) -> list[Encoded]:
        if len(made) > 1:
            raise Untranslatable(WRONG_RETURN, "The translator returned a Skip beside something else.")
        reason = made[0].reason
        if not isinstance(reason, str):
            raise Untranslatable(WRONG_RETURN, "The translator returned a Skip whose reason is no string.")
        self._count_filtered(words(reason, MAX_REASON))
        return []

    def _count_filtered(self, reason: str) -> None:
        counter = self._reasons.get(reason)
        if counter is None:
            label = reason if len(self._reasons) < MAX_REASONS else OTHER
            counter = self._filtered.labels(self._name, label)
            if label == reason:
                self._reasons[reason] = counter
        counter.inc()

    def _change(self, item: Any, key: str) -> tuple[Verb, str, bytes | None]:
        if isinstance(item, Delete):
            if self._pipeline.kind is Kind.EVENT:
                raise Untranslatable(WRONG_KIND, "The translator returned a Delete for an entity of kind event.")
            return Verb.DELETE, checked_key(item.key), None
        if isinstance(item, Upsert):
            key = checked_key(item.key)
            item = item.state
        return self._verb, key, self._contract.write(item)

    def _fitting(self, verb: Verb, key: str, facts: _Facts, data: bytes | None) -> Encoded:
        if data is not None and self._payloads is not None and len(data) > self._claim_threshold:
            return self._encode(verb, key, facts, None, dataref=self._payloads.put(data))
        try:
            encoded = self._encode(verb, key, facts, data)
        except ValueError as error:
            raise Untranslatable(TOO_DEEP, f"The new state cannot be carried: {error}.") from None
        if len(encoded.event) > self._most_bytes:
            raise Untranslatable(TOO_LARGE, "The change is larger than a record, and no claim check is set up for it.")
        return encoded

    def _encode(self, verb: Verb, key: str, facts: _Facts, data: bytes | None, *, dataref: str = "") -> Encoded:
        lane = lane_of(key, self._lanes)
        identity = transaction_id(self._source, key, facts.version)
        change = Change(
            identity,
            self._source,
            self._pipeline.entity,
            verb,
            key,
            facts.version,
            lane,
            facts.epoch,
            facts.time,
            None,
            facts.rowhash,
            facts.sourcekey,
            self._dataschema,
            "",
            dataref,
        )
        return Encoded(lane, encode(change, prefix=self._prefix, data=data), identity, key)

    def _untranslated(self, key: str, facts: _Facts, row: SourceRow, failure: Untranslatable) -> Encoded:
        why = {"reason": failure.reason, "message": failure.message}
        values, types = row_out(row.values)
        data = json_bytes({"row": values, "types": types, **why})
        self._counts[Verb.UNTRANSLATED].inc()
        try:
            return self._fitting(Verb.UNTRANSLATED, key, facts, data)
        except Untranslatable:
            lost = "The row itself is larger than a record: only its source key and its hash are kept."
            rest = json_bytes({**why, "message": f"{failure.message} {lost}"})
            return self._encode(Verb.UNTRANSLATED, key, facts, rest)
