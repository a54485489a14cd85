"""The settings: one `isthmus.toml`, checked as a whole before anything starts."""

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
    Store,
    Stream,
)
from isthmus.settings.objects import load_object, load_pipelines

__all__ = [
    "Aws",
    "Checkpoint",
    "ClaimCheck",
    "Consumer",
    "DeadLetters",
    "Entity",
    "Log",
    "Metrics",
    "Ownership",
    "Publisher",
    "ReferenceTable",
    "Settings",
    "Source",
    "Store",
    "Stream",
    "load",
    "load_object",
    "load_pipelines",
]
