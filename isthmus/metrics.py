"""The catalogue: every metric that Isthmus exports, with its unit, in one readable table.

No key, transaction ID or row value is ever a label: a million entities make no more series than one.
"""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric

from isthmus.metricsum import summed

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_CHANGES = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)
_BYTES = (1_000, 5_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 10_000_000)


class Metrics:
    """All metrics of one process, in a registry of its own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.of_others: Callable[[], Iterable[Metric]] = list
        """What processes that we look after have told."""

        # producer
        self.detected = Counter(
            "isthmus_modifications_detected_total", "Rows read from a source.", ["source"], registry=registry
        )
        self.translated = Counter(
            "isthmus_changes_translated_total", "Changes made from rows.", ["source", "verb"], registry=registry
        )
        self.filtered = Counter(
            "isthmus_rows_filtered_total", "Rows that a translator skipped.", ["source", "reason"], registry=registry
        )
        self.published = Counter(
            "isthmus_changes_published_total", "Changes acknowledged by Kinesis.", ["source"], registry=registry
        )
        self.bundles = Counter(
            "isthmus_bundles_published_total", "Kinesis records acknowledged.", ["source"], registry=registry
        )
        self.bundle_changes = Histogram(
            "isthmus_bundle_changes", "Changes in a bundle.", buckets=_CHANGES, registry=registry
        )
        self.bundle_bytes = Histogram("isthmus_bundle_bytes", "Size of a bundle.", buckets=_BYTES, registry=registry)
        self.unacknowledged = Gauge(
            "isthmus_unacknowledged_bytes", "Changes in memory that Kinesis has not acknowledged.", registry=registry
        )
        self.watermark_time = Gauge(
            "isthmus_watermark_saved_timestamp_seconds",
            "When the watermark was last saved.",
            ["source"],
            registry=registry,
        )
        self.watermark = Gauge(
            "isthmus_watermark_position", "How far a source is acknowledged.", ["source"], registry=registry
        )
        self.source_bound = Gauge(
            "isthmus_source_bound_position", "The highest position seen in a source.", ["source"], registry=registry
        )

        # consumer
        self.outcomes = Counter(
            "isthmus_changes_total", "Changes by what became of them.", ["shard", "outcome"], registry=registry
        )
        self.records = Counter("isthmus_records_total", "Kinesis records decided.", ["shard"], registry=registry)
        self.freshness = Histogram(
            "isthmus_freshness_seconds",
            "From the change's own time to the commit in the front office.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.batch_seconds = Histogram(
            "isthmus_batch_seconds", "One deciding transaction.", buckets=_SECONDS, registry=registry
        )
        self.batch_changes = Histogram(
            "isthmus_batch_changes", "Changes in one deciding transaction.", buckets=_CHANGES, registry=registry
        )
        self.behind = Gauge(
            "isthmus_shard_behind_seconds", "MillisBehindLatest of the last read.", ["shard"], registry=registry
        )
        self.buffered = Gauge(
            "isthmus_shard_buffered_records", "Records read and not decided yet.", ["shard"], registry=registry
        )
        self.checkpoint_time = Gauge(
            "isthmus_checkpoint_saved_timestamp_seconds",
            "When the checkpoint was last saved.",
            ["shard"],
            registry=registry,
        )
        self.decided_until = Gauge(
            "isthmus_shard_decided_until_timestamp_seconds",
            "Everything that arrived in the shard before this moment is decided.",
            ["shard"],
            registry=registry,
        )
        self.lost_ranges = Counter(
            "isthmus_lost_ranges_total",
            "Ranges of a shard that retention took, or may have taken, before they were read.",
            ["shard"],
            registry=registry,
        )
        self.parked_keys = Gauge(
            "isthmus_parked_keys",
            "Keys with something in the parking lot, by why; one key may be there for several reasons.",
            ["reason"],
            registry=registry,
        )
        self.parked_oldest = Gauge(
            "isthmus_parked_oldest_timestamp_seconds",
            "When the oldest change that is parked for this reason was first parked.",
            ["reason"],
            registry=registry,
        )
        self.parked = Counter(
            "isthmus_parked_total", "Changes put into the parking lot.", ["reason"], registry=registry
        )
        self.gates_closed = Gauge(
            "isthmus_gates_closed",
            "Gates that are closed now, or not known, by what they do.",
            ["mode"],
            registry=registry,
        )
        self.gates_unknown = Gauge(
            "isthmus_gates_unknown", "Gates of which it is not known whether they are open: closed.", registry=registry
        )
        self.gates_closed_since = Gauge(
            "isthmus_gates_closed_since_timestamp_seconds",
            "Since when the gate is closed that is so for longest and has no known end; 0: none is.",
            registry=registry,
        )
        self.held_keys = Gauge("isthmus_held_keys", "Keys with something held.", registry=registry)
        self.held_changes = Gauge("isthmus_held_changes", "Changes that closed gates hold.", registry=registry)
        self.held_since = Gauge(
            "isthmus_held_since_timestamp_seconds",
            "When the oldest held change was held; 0: none is.",
            registry=registry,
        )
        self.held_drainable = Gauge(
            "isthmus_held_drainable_keys",
            "Keys with something held that no gate kept back when somebody last went to drain them.",
            registry=registry,
        )
        self.drained = Counter(
            "isthmus_drained_total",
            "Held changes that were decided, by what became of them.",
            ["outcome"],
            registry=registry,
        )
        self.park_brake = Gauge(
            "isthmus_park_brake",
            "1 while consumption holds because too many keys were to be parked for this reason.",
            ["reason"],
            registry=registry,
        )
        self.breaker_open = Gauge(
            "isthmus_breaker_open", "1 while nothing is tried on a target that is away.", ["target"], registry=registry
        )
        self.letters_sent = Counter(
            "isthmus_dead_letters_sent_total", "Copies that the dead-letter queue took.", ["reason"], registry=registry
        )
        self.outbox_oldest = Gauge(
            "isthmus_outbox_oldest_timestamp_seconds",
            "When the oldest copy that the dead-letter queue has not taken yet was written; 0: none waits.",
            registry=registry,
        )
        self.hash_alarms = Counter(
            "isthmus_rowhash_mismatches_total",
            "The same transaction ID came with another row hash: look into the source.",
            registry=registry,
        )

        # both
        self.retries = Counter(
            "isthmus_retries_total", "Attempts that failed and are made again.", ["part", "cause"], registry=registry
        )
        self.away = Gauge("isthmus_away", "1 while this part cannot reach what it needs.", ["part"], registry=registry)
        self.owner_epoch = Gauge(
            "isthmus_owner_epoch", "Epoch of a source's ownership, 0 when not held.", ["source"], registry=registry
        )

    def collect(self) -> list[Metric]:
        """Give all that is exported: what this process counted, and what others told, as one."""
        return summed([*self.registry.collect(), *self.of_others()])
