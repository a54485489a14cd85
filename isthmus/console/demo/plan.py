"""What the demo was asked for, and where it puts things."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from isthmus.console.demo.settings_file import Runtime
from isthmus.errors import Refused

WORKERS: Final = ("worker-1", "worker-2")
"""The consumers, where several share the shards."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The options of `isthmus demo`."""

    days: int = 31
    shards: int = 4
    """Of the stream; with kcl at its beginning."""
    rate: float | None = 2000.0
    """Modifications per second of the live phase; None: as fast as it goes."""
    stay: bool = False
    seed: int | None = None
    """Of the chaos; None: no chaos."""
    store: Literal["sqlite", "postgres", "dynamodb"] = "sqlite"
    """The kind of front office: sqlite, postgres or dynamodb."""
    runtime: Runtime = "local"
    """What drives the consumers: local, or kcl with two workers and a reshard."""
    outage: bool = False
    """Whether the front office's store goes away for a while."""
    poison: bool = False
    """Whether the translator begins with a defect that is mended."""
    gate: bool = False
    """Whether a gate is closed for a while."""

    @property
    def episodes(self) -> bool:
        """Whether anything of that is asked for."""
        return self.outage or self.poison or self.gate


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

    def worker_settings(self, name: str) -> Path:
        """Give the settings of one of several consumers."""
        return self.folder / f"{name}.toml"

    @property
    def workers(self) -> Path:
        """What workers make for as long as they live. One that is killed cannot remove it."""
        return self.folder / "workers"

    @property
    def kinesis(self) -> Path:
        """The program and the log of kinesis-mock."""
        return self.folder / "kinesis-mock"

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
        files = [self.settings, self.front_office_url, *map(self.worker_settings, WORKERS)]
        if (self.postgres / "PG_VERSION").is_file():
            shutil.rmtree(self.postgres)
        if (self.kinesis / "kinesis-mock.log").is_file():
            shutil.rmtree(self.kinesis)
        for folder in self.workers.glob("isthmus-kcl-*"):
            shutil.rmtree(folder)
        for database in (self.back_office, self.front_office):
            files += [database, Path(f"{database}-wal"), Path(f"{database}-shm")]
        for file in [*files, *self.logs.glob("*.log")]:
            file.unlink(missing_ok=True)
