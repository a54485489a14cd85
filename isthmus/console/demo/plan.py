"""What the demo was asked for, and where it puts things."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from isthmus.aws import AwsAccess
from isthmus.console.demo.example import PIPELINES, SOURCE
from isthmus.errors import Refused

POLL_INTERVAL = 0.2
"""Seconds between two looks at the back office, and between two reads of a shard."""

SETTINGS = """\
# Written by `isthmus demo`. Every other command works on it while the demo stays up: isthmus status --config {file}
application = "flights"

[aws]
endpoint_url = "{endpoint}"
region = "{region}"
access_key_id = "{access_key_id}"
secret_access_key = "{secret}"

[stream]
name = "flights"
shards = {shards}

[checkpoint]
table = "isthmus-flights"

[sources.{source}]
pipeline = "{pipeline}"
url = "sqlite:///back-office.db"
table = "FLTMST"
key = ["CARR", "FLTNO", "DEPDT", "ORIG"]
cursor = "UPDSEQ"
order = "commit"
poll_interval = {poll_interval}

[sources.{source}.references.airports]
table = "APTREF"
key = "FAA"

[sources.{source}.references.carriers]
table = "CARREF"
key = "CARR"

[entities.flight]
table = "flight"
version_column = "version"
process = "operations"

[store]
url = "{store_url}"
history = true

[consumer]
poll_interval = {poll_interval}

[publisher]
# The emulator has no write limit to keep.
pace_shards = false

[metrics]
producer_port = {producer_port}
consumer_port = {consumer_port}
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """The options of `isthmus demo`."""

    days: int = 31
    shards: int = 4
    rate: float | None = 2000.0
    """Modifications per second of the live phase; None: as fast as it goes."""
    stay: bool = False
    seed: int | None = None
    """Of the chaos; None: no chaos."""
    store: Literal["sqlite", "postgres", "dynamodb"] = "sqlite"
    """The kind of front office: sqlite, postgres or dynamodb."""


@dataclass(frozen=True, slots=True)
class Place:
    """The demo's folder."""

    folder: Path

    @property
    def back_office(self) -> Path:
        """The legacy database."""
        return self.folder / "back-office.db"

    @property
    def front_office(self) -> Path:
        """The front office's store, where it is a SQLite file."""
        return self.folder / "front-office.db"

    @property
    def postgres(self) -> Path:
        """The data of the front office's store, where it is PostgreSQL."""
        return self.folder / "postgres"

    @property
    def front_office_url(self) -> Path:
        """Where to reach the front office's store."""
        return self.folder / "front-office.url"

    @property
    def settings(self) -> Path:
        """The settings of this run."""
        return self.folder / "isthmus.toml"

    @property
    def logs(self) -> Path:
        """What the processes said."""
        return self.folder / "logs"

    def make(self, *, force: bool) -> None:
        """Make the folder.

        Raises `Refused` when it holds anything, unless forced: then our own files of an older run go. Also when it
        cannot be made, looked into or emptied.
        """
        try:
            self._make(force=force)
        except OSError as error:
            raise Refused(
                f"The folder {self.folder} cannot be used: {error.strerror or type(error).__name__}.",
                hint="Name another one with --dir, where you may write.",
            ) from error

    def _make(self, *, force: bool) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise Refused(f"{self.folder} is no folder.", hint="Name another one with --dir.")
        if self.folder.is_dir() and any(self.folder.iterdir()):
            if not force:
                raise Refused(
                    f"{self.folder} is not empty: it may hold an older run.",
                    hint="Name another folder with --dir, or add --force to remove the older run's files.",
                )
            self._remove_older_run()
        self.logs.mkdir(parents=True, exist_ok=True)

    def _remove_older_run(self) -> None:
        files = [self.settings, self.front_office_url]
        if (self.postgres / "PG_VERSION").is_file():
            shutil.rmtree(self.postgres)
        for database in (self.back_office, self.front_office):
            files += [database, Path(f"{database}-wal"), Path(f"{database}-shm")]
        for file in [*files, *self.logs.glob("*.log")]:
            file.unlink(missing_ok=True)

    def write_settings(
        self, plan: Plan, endpoint: str, access: AwsAccess, ports: tuple[int, int], store_url: str
    ) -> None:
        """Write `isthmus.toml`. `ports` are where producer and consumer serve their metrics."""
        values: dict[str, Any] = {
            "file": self.settings,
            "endpoint": endpoint,
            "region": access.region,
            "access_key_id": access.access_key_id,
            "secret": access.secret,
            "shards": plan.shards,
            "poll_interval": POLL_INTERVAL,
            "producer_port": ports[0],
            "consumer_port": ports[1],
            "pipeline": PIPELINES[plan.store],
            "store_url": store_url,
            "source": SOURCE,
        }
        self.settings.write_text(SETTINGS.format(**values))
