"""A service that is connected to the message server as another user does not start.

It could hold leases, and would never receive a request. The accounts are those of the server of
`tapewire up`.
"""

import os
import subprocess
from pathlib import Path

import pytest

from tests.harness.stack import TAPEWIRE, Stack

SECONDS = 90.0


def start(service: str, stack: Stack, **settings: str) -> subprocess.CompletedProcess[str]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("TAPEWIRE_")}
    env = {**clean, "TAPEWIRE_HEALTH_PORT": "0", "TAPEWIRE_PORT": "0", **settings}
    return subprocess.run(
        [*TAPEWIRE, "run", service], env=env, timeout=SECONDS, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=stack.data_dir,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("service", "user"),
    [
        ("orders", "admin"),  # the URL of run.json
        ("edge", "admin"),
        ("positions", None),  # a program that names no user
        ("alerts", "operator"),
        ("prices", "orders"),  # another service's credentials
    ],
)
def test_a_service_refuses_to_run_as_another_user(
    stack: Stack, service: str, user: str | None
) -> None:
    url, settings = f"nats://{stack.nats_url.rpartition('@')[2]}", {}
    if user == "admin":
        url = stack.nats_url
    elif user is not None:
        password_file = Path(stack.data_dir, "nats", user)
        settings = {"TAPEWIRE_NATS_USER": user, "TAPEWIRE_NATS_PASSWORD_FILE": str(password_file)}
    done = start(service, stack, TAPEWIRE_NATS_URL=url, **settings)
    assert done.returncode == 2, done.stdout
    assert f"TAPEWIRE_NATS_USER={service}" in done.stdout
    assert f"nats/{service}" in done.stdout
    assert "service.ready" not in done.stdout
