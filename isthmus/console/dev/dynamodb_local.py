"""DynamoDB Local, AWS's own DynamoDB for one machine: fetched by Maven, run by Java, on loopback alone."""

import shutil
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from isthmus.console import programs
from isthmus.console.dev.install import Part, Say, installed, run, silently
from isthmus.console.dev.standin import HOST, Plan, Tied, free_ports, url_at
from isthmus.console.embedded import inherited
from isthmus.errors import Fatal
from isthmus.lifecycle import Stop
from isthmus.settings.load import cache_folder

NAME = "dynamodb-local"
_VERSION = "2.6.1"
_SHA256 = "1bed966b5eb504444fb6bc9a3d35bf415cde726bc89a0a6505570d985ebed5c9"
"""Of all 85 files that Maven fetches for this version."""
_HEAP = "-Xmx384m"
_OLDEST_JAVA = 17
"""What its classes are compiled for."""
_WAY_OUT = "install a JDK and Maven, or use ministack's DynamoDB (`pip install 'isthmus[demo]'`)."

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>local</groupId><artifactId>local</artifactId><version>1</version>
<dependencies><dependency><groupId>com.amazonaws</groupId><artifactId>DynamoDBLocal</artifactId>
<version>{_VERSION}</version></dependency></dependencies></project>
"""
LAUNCHER = "Launcher"
_LAUNCHER_SOURCE = f"""
import com.amazonaws.services.dynamodbv2.local.main.ServerRunner;
import com.amazonaws.services.dynamodbv2.local.server.DynamoDBProxyServer;
import org.eclipse.jetty.server.Connector;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;

public class {LAUNCHER} {{
    public static void main(String[] arguments) throws Exception {{
        DynamoDBProxyServer local = ServerRunner.createServerFromCommandLineArgs(arguments);
        java.lang.reflect.Field field = DynamoDBProxyServer.class.getDeclaredField("server");
        field.setAccessible(true);
        for (Connector connector : ((Server) field.get(local)).getConnectors()) {{
            ((ServerConnector) connector).setHost("{HOST}");
        }}
        local.start();
        local.join();
    }}
}}
"""
"""It listens on every interface, with no option: the host of its connectors is set before it starts."""


class Java(NamedTuple):
    """Paths of programs."""

    java: str
    compiler: str


def unavailable(home: Path | None = None, say: Say = silently) -> str:
    """Say in one sentence why DynamoDB Local cannot run here, or nothing. Fetches it into `home` the first time.

    `home` is the install folder, the user's own unless it is given.
    """
    try:
        find_java()
        installed(PART, home or cache_folder(), say)
    except Fatal as error:
        return str(error)
    return ""


class DynamoLocal(Tied):
    """One running DynamoDB Local, in memory, at `url`. See `Tied` for its life."""

    def __init__(self, folder: Path, *, home: Path | None = None, stop: Stop | None = None) -> None:
        super().__init__(folder, lambda: plan(home or cache_folder(), folder), stop=stop)


def plan(home: Path, folder: Path) -> Plan:
    """Make the plan of one that runs in `folder`, installed in `home`. Raises `Fatal` where it cannot be."""
    tools, library = find_java(), installed(PART, home)
    compile_launcher(tools, library, folder)
    (port,) = free_ports(1)
    machine = [tools.java, _HEAP, f"-Djava.library.path={library}", "-cp", f"{library}/*:{folder}", LAUNCHER]
    options = ["-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port)]
    environment = inherited() | {"HOME": str(folder), "DDB_LOCAL_TELEMETRY": "0"}
    # Whoever is there refuses a request without a signature.
    return Plan(NAME, [*machine, *options], environment, lambda: url_at(port, "/", HTTPStatus.BAD_REQUEST), port)


def find_java() -> Java:
    """Find what fetches, compiles and runs it. Raises `Fatal`, which says what is missing and what to do."""
    found = {program: shutil.which(program) for program in ("java", "javac", "mvn")}
    missing = [program for program, path in found.items() if path is None]
    if missing:
        # The Java of a wheel has no compiler: it does not help here.
        raise Fatal(f"DynamoDB Local needs {' and '.join(missing)}, which this machine does not have:", hint=_WAY_OUT)
    java, compiler = str(found["java"]), str(found["javac"])
    if (version := programs.java_version(java)) < _OLDEST_JAVA:
        raise Fatal(f"DynamoDB Local needs Java {_OLDEST_JAVA} or newer, and {java} is Java {version}:", hint=_WAY_OUT)
    return Java(java, compiler)


def compile_launcher(tools: Java, library: Path, folder: Path) -> None:
    """Make the class `LAUNCHER` in a folder. Raises `Fatal`."""
    source = folder / f"{LAUNCHER}.java"
    source.write_text(_LAUNCHER_SOURCE, encoding="ascii")
    run("javac", [tools.compiler, "-cp", f"{library}/*", "-proc:none", "-d", str(folder), str(source)], folder)


def _fetch(folder: Path) -> Path:
    (folder / "pom.xml").write_text(_POM, encoding="ascii")
    library = folder / "library"
    run("Maven", ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={library}"], folder)
    return library


PART = Part(f"dynamodb-local-{_VERSION}", _SHA256, _fetch)
