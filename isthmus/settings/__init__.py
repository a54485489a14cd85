"""The settings: one `isthmus.toml`, checked as a whole before anything starts."""

from isthmus.settings.errors import ErrorType
from isthmus.settings.load import load
from isthmus.settings.models import (
    Aws,
    Checkpoint,
    ClaimCheck,
    Consumer,
    DeadLetters,
    Entity,
    Log,
    Metrics,
    Ownership,
    Publisher,
    ReferenceTable,
    Settings,
    Source,
    Stream,
)
from isthmus.settings.objects import load_object, load_pipelines
from isthmus.settings.stores import DynamoStore, PostgresStore, Store, StoreKind

__all__ = [
    "Aws",
    "Checkpoint",
    "ClaimCheck",
    "Consumer",
    "DeadLetters",
    "DynamoStore",
    "Entity",
    "ErrorType",
    "Log",
    "Metrics",
    "Ownership",
    "PostgresStore",
    "Publisher",
    "ReferenceTable",
    "Settings",
    "Source",
    "Store",
    "StoreKind",
    "Stream",
    "load",
    "load_object",
    "load_pipelines",
]
