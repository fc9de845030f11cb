"""compose.yaml has every service, binds to loopback, avoids root and pins all images."""

import re

import pytest

from tapewire.runtime.settings import Settings, describe
from tests.deploy.manifests import (
    BASE_FOLDER,
    compose_config,
    deployable_services,
    load_kustomization,
    service_of,
)

COMPOSE = compose_config()
SERVICES = COMPOSE["services"]
TAPEWIRE_SERVICES = [
    name for name, service in SERVICES.items() if service["command"][0] == "tapewire"
]

SERVICE_FIELDS = {
    "image", "build", "command", "user", "read_only", "tmpfs", "cap_drop", "security_opt",
    "mem_limit", "restart", "stop_grace_period", "environment", "healthcheck", "depends_on",
    "ports", "volumes", "hostname",
}  # fmt: skip
HEALTHCHECK_FIELDS = {"test", "interval", "timeout", "start_period", "retries"}


def resolve_fallbacks(text: str) -> str:
    """Replace ${NAME:-fallback} by the fallback, as with an empty environment."""
    return re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", text)


def test_only_expected_fields_are_used() -> None:
    assert {key for key in COMPOSE if not key.startswith("x-")} == {"services", "volumes"}
    for name, service in SERVICES.items():
        assert set(service) <= SERVICE_FIELDS, name
        assert set(service.get("healthcheck", {})) <= HEALTHCHECK_FIELDS, name


def test_compose_runs_exactly_the_deployable_services() -> None:
    run = {service_of(SERVICES[name]["command"]) for name in TAPEWIRE_SERVICES}
    assert run - {None} == deployable_services()
    assert {
        name for name in TAPEWIRE_SERVICES if service_of(SERVICES[name]["command"]) is None
    } == {"provision"}


def test_images_match_the_kubernetes_images() -> None:
    pinned = {
        f"{image['name']}:{image['newTag']}" for image in load_kustomization(BASE_FOLDER)["images"]
    }
    assert {resolve_fallbacks(service["image"]) for service in SERVICES.values()} == pinned


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_bound_to_loopback(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:"), port


@pytest.mark.parametrize("name", SERVICES)
def test_containers_run_with_minimal_privileges(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert service["mem_limit"]
    if name in TAPEWIRE_SERVICES:
        assert service["user"] == "10001:10001"


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "provision"])
def test_long_running_services_have_a_health_check_and_restart(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_services_wait_for_their_dependencies() -> None:
    for name, service in SERVICES.items():
        for other, wait in service.get("depends_on", {}).items():
            needs = {"service_healthy": "healthcheck"}.get(wait["condition"], "command")
            assert needs in SERVICES[other], f"{name} waits for {other}"


@pytest.mark.parametrize("name", TAPEWIRE_SERVICES)
def test_settings_exist_and_parse(name: str) -> None:
    given = {key: resolve_fallbacks(value) for key, value in SERVICES[name]["environment"].items()}
    assert set(given) <= {setting.env for setting in describe()}
    Settings.from_env(given)


def test_volumes_are_declared() -> None:
    named = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if not volume.startswith(".")
    }
    assert named == set(COMPOSE["volumes"])
