"""The users of NATS in compose.yaml and the manifests are those that the services declare."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from tapewire.cli import main
from tapewire.cli.nats_config.command import password_variable
from tests.deploy.manifests import (
    BASE_FOLDER,
    compose_config,
    load_kustomization,
    overlay_folders,
    pod_specs,
    service_of,
    yaml_documents,
)
from tests.harness.nats_servers import nats_server_binary

ACCOUNTS = (BASE_FOLDER / "accounts.conf").read_text()
VARIABLES = set(re.findall(r"\$(NATS_[A-Z_]+)", ACCOUNTS))


def test_the_accounts_are_what_the_services_declare() -> None:
    """Otherwise: `tapewire nats-config > k8s/base/accounts.conf`."""
    result = CliRunner().invoke(main, ["nats-config"], env={"TAPEWIRE_EVENT_PACKAGES": ""})
    assert result.stdout == ACCOUNTS


def test_the_configuration_is_valid_for_the_server(tmp_path: Path) -> None:
    text = (BASE_FOLDER / "nats.conf").read_text().replace("/data", str(tmp_path))
    (tmp_path / "nats.conf").write_text(text)
    (tmp_path / "accounts.conf").write_text(ACCOUNTS)
    env = {**os.environ, **dict.fromkeys(VARIABLES, "not-a-secret"), "HOSTNAME": "nats-0"}
    command = [nats_server_binary(), "-t", "-c", str(tmp_path / "nats.conf")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_every_password_is_in_the_secrets_and_in_compose() -> None:
    (secret, _) = yaml_documents(BASE_FOLDER / "secret.example.yaml")
    assert set(secret["stringData"]) == VARIABLES
    for folder in overlay_folders():
        (generator,) = load_kustomization(folder)["secretGenerator"]
        assert {each.split("=")[0] for each in generator["literals"]} == VARIABLES
    given = compose_config()["services"]["nats"]["environment"]
    assert {name for name in given if name.startswith("NATS_")} == VARIABLES


@pytest.mark.parametrize("name", [name for name in pod_specs() if name != "nats"])
def test_a_pod_sees_the_password_of_its_own_user_alone(name: str) -> None:
    pod = pod_specs()[name]
    (container,) = pod["containers"]
    env = {each["name"]: each.get("value") for each in container["env"]}
    user = service_of(container["command"]) or "admin"
    assert env["TAPEWIRE_NATS_USER"] == user
    (volume,) = pod["volumes"]
    assert volume["secret"]["secretName"] == "tapewire-nats"
    assert volume["secret"]["items"] == [{"key": password_variable(user), "path": "password"}]
    (mount,) = container["volumeMounts"]
    assert env["TAPEWIRE_NATS_PASSWORD_FILE"] == f"{mount['mountPath']}/password"
    references = [
        each["valueFrom"]["secretKeyRef"]["name"]
        for each in container["env"]
        if "secretKeyRef" in each.get("valueFrom", {})
    ]
    assert "tapewire-nats" not in references
    assert not any("secretRef" in each for each in container.get("envFrom", []))


def test_a_service_of_compose_has_the_url_of_its_own_user() -> None:
    for service in compose_config()["services"].values():
        if service["command"][0] == "tapewire":
            user = service_of(service["command"]) or "admin"
            url = service["environment"]["TAPEWIRE_NATS_URL"]
            assert url.startswith(f"nats://{user}:${{{password_variable(user)}:-")
            assert not any(key.startswith("NATS_") for key in service["environment"])
