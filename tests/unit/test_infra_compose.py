"""`docker-compose.yml` keeps its schema, and names only what there is: commands, files, ports, volumes."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from isthmus.console.main import invoke
from isthmus.console.signals import PATIENCE_SECONDS
from isthmus.settings import load
from tests.fakes.infra import COMPOSE, HOSTS, INFRA, OURS, PROCESSES, ROOT, SERVICES, health_check, read_yaml, rest_of

FILE = ROOT / "docker-compose.yml"
SETTINGS = INFRA / "compose" / "isthmus.toml"

each_service = pytest.mark.parametrize("name", SERVICES)
each_process = pytest.mark.parametrize("name", PROCESSES)


def mounts(service: dict[str, Any]) -> list[list[str]]:
    return [each.split(":") for each in service.get("volumes", [])]


def said(*command: str) -> str:
    """Run a program that checks something, and give what it said if it found fault."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_it_keeps_the_schema_of_compose() -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")
    assert said(sys.executable, "-m", "check_jsonschema", *schema, str(FILE)) == ""


def test_docker_compose_reads_it() -> None:
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not on the path: the schema alone was checked")
    assert said(program, "--file", str(FILE), "config", "--quiet") == ""


@each_service
def test_an_image_that_others_made_is_pinned_to_one_release(name: str) -> None:
    image = SERVICES[name]["image"]
    assert name in OURS or re.search(r":v?\d+\.\d+[\w.-]*$", image), image


def test_our_image_is_called_by_our_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert {service["image"] for service in OURS.values()} == {f"isthmus:{version}"}


@each_service
def test_a_port_is_published_on_this_machine_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@each_service
def test_a_file_that_is_mounted_is_there_and_cannot_be_written(name: str) -> None:
    for source, _, *how in mounts(SERVICES[name]):
        if source.startswith("."):
            assert (ROOT / source).exists(), source
            assert how == ["ro"], source


def test_every_volume_is_declared_and_used() -> None:
    used = {source for service in SERVICES.values() for source, *_ in mounts(service) if not source.startswith(".")}
    assert used == COMPOSE["volumes"].keys()


@each_service
def test_what_stays_says_whether_it_is_well(name: str) -> None:
    checked = "test" in SERVICES[name].get("healthcheck", {}) or (name in OURS and "healthcheck" not in SERVICES[name])
    assert checked != (name in HOSTS or name == "setup")


@each_service
def test_what_a_service_waits_for_is_there_and_can_come_about(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        match how["condition"]:
            case "service_completed_successfully":
                assert SERVICES[other]["restart"] == "no"
            case "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"]
            case "service_started":
                assert other in HOSTS


@pytest.mark.parametrize("name", OURS)
def test_our_own_services_may_do_no_more_than_they_need(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"user", "privileged", "cap_add", "ports"} & service.keys()


@each_process
def test_a_command_and_its_options_are_known(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = PROCESSES[name]["command"]
    assert invoke([*command, "--help"]) == 0
    assert f"isthmus {command[0]}" in capsys.readouterr().out
    assert command[1:] == ["--config", "/etc/isthmus/isthmus.toml"]


@each_process
def test_a_process_has_the_network_of_a_host_of_its_own_and_setup_that_of_the_producer(name: str) -> None:
    host = PROCESSES[name]["network_mode"].removeprefix("service:")
    assert host == ("producer-host" if name == "setup" else f"{name}-host")
    assert host in PROCESSES[name]["depends_on"]


def test_two_workers_share_the_shards() -> None:
    workers = [name for name, service in PROCESSES.items() if service["command"][0] == "consume"]
    settings = load(SETTINGS, {})
    assert settings.consumer.runtime == "kcl"
    assert len(workers) == 2 <= settings.stream.shards


def test_a_kcl_worker_may_run_what_is_written_into_its_temporary_folder() -> None:
    for service in PROCESSES.values():
        assert service["tmpfs"] == ["/tmp"]  # noqa: S108 - it says where, and writes nothing


def test_a_stop_leaves_time_for_a_soft_one() -> None:
    assert {service["stop_grace_period"] for service in OURS.values()} == {"15s"}
    assert PATIENCE_SECONDS < 15


def test_the_settings_are_those_that_are_mounted() -> None:
    for service in PROCESSES.values():
        assert ["./infra/compose", "/etc/isthmus", "ro"] in mounts(service)
    assert rest_of("WORKDIR")[-1] == "/etc/isthmus"


def test_every_host_forwards_the_port_of_the_settings_to_localstack() -> None:
    endpoint = urlsplit(load(SETTINGS, {}).aws.endpoint_url or "")
    for service in HOSTS.values():
        (source, target, _), (program, script) = *mounts(service), service["entrypoint"]
        assert (ROOT / source).is_file()
        assert (program, script) == ("python", target)
        assert service["command"] == [str(endpoint.port), "localstack:4566"]
    assert endpoint.hostname == "127.0.0.1"


def test_both_offices_are_behind_the_socket_that_is_mounted() -> None:
    settings = load(SETTINGS, {})
    addresses = [settings.sources["customers"].url, settings.store.url]
    for address in addresses:
        assert address.get_secret_value().endswith("?host=/run/postgresql")
    for service in PROCESSES.values():
        assert ["postgres-socket", "/run/postgresql"] in mounts(service)
    assert ["postgres-socket", "/var/run/postgresql"] in mounts(SERVICES["postgres"])
    assert "listen_addresses=127.0.0.1" in SERVICES["postgres"]["command"]


def port_of(name: str) -> int:
    metrics = load(SETTINGS, {}).metrics
    return metrics.consumer_port if PROCESSES[name]["command"][0] == "consume" else metrics.producer_port


def test_prometheus_asks_every_process_where_it_serves() -> None:
    (job,) = read_yaml("prometheus/prometheus.yml")["scrape_configs"]
    asked = {each["labels"]["instance"]: each["targets"] for each in job["static_configs"]}
    staying = [name for name in PROCESSES if name != "setup"]
    assert asked == {name: [f"{name}-host:{port_of(name)}"] for name in staying}
    assert load(SETTINGS, {}).metrics.host == "0.0.0.0"  # noqa: S104 - read, not listened on


def test_a_health_check_asks_where_the_process_serves() -> None:
    image = dict(word.split("=", 1) for rest in rest_of("ENV") for word in rest.split())
    assert "HEALTH_PORT" in " ".join(health_check())
    for name, service in PROCESSES.items():
        if name != "setup":
            asked = service.get("environment", {}).get("HEALTH_PORT", image["HEALTH_PORT"])
            assert int(asked) == port_of(name), name


def test_grafana_finds_what_is_provisioned() -> None:
    inside = {target: Path(source) for source, target, *_ in mounts(SERVICES["grafana"])}
    (provider,) = read_yaml("grafana/provisioning/dashboards/isthmus.yml")["providers"]
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    (source,) = read_yaml("grafana/provisioning/datasources/prometheus.yml")["datasources"]

    assert provider["options"]["path"] == str(home.parent)
    assert (ROOT / inside[str(home.parent)] / home.name).is_file()
    assert inside["/etc/grafana/provisioning"] == Path("./infra/grafana/provisioning")
    assert urlsplit(source["url"]).hostname in SERVICES
    assert source["jsonData"]["timeInterval"] == read_yaml("prometheus/prometheus.yml")["global"]["scrape_interval"]
