"""Errors of commands at a message server that answers: what is missing there, and the cure."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tapewire.runtime.nats_access import OPERATOR
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.provisioning import run_command
from tests.harness.secured_nats import SecuredNats, plain_server

WITHOUT_STREAMS = [
    ("journal", "status"),
    ("journal", "accept-loss"),
    ("journal", "rebuild"),
    ("journal", "repair"),
    ("journal", "erase", "--user", "ann"),
    ("verify",),
    ("parked", "list"),
    ("notify", "--user", "ann", "--title", "a"),
    ("execution", "bust", "--trade", "a", "--correction", "b"),
    ("split", "IBM", "2:1", "--wait", "0.1"),
]


@pytest.fixture(scope="module")
def empty_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNatsServer]:
    server = LocalNatsServer(tmp_path_factory.mktemp("empty"))
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def provisioned_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNatsServer]:
    server = LocalNatsServer(tmp_path_factory.mktemp("provisioned"), provisioned=True)
    server.start()
    yield server
    server.close()


@pytest.mark.parametrize("command", WITHOUT_STREAMS, ids=" ".join)
def test_a_server_without_streams_is_reported_as_one_to_provision(
    command: tuple[str, ...], empty_server: LocalNatsServer
) -> None:
    code, output = run_command(*command, "--nats", empty_server.url)
    assert code in (1, 3), output
    assert "run `tapewire provision`" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    "command",
    [
        ("notify", "--user", "ann", "--title", "a"),
        ("execution", "bust", "--trade", "a", "--correction", "b"),
        ("split", "IBM", "2:1", "--wait", "0.1"),
    ],
    ids=" ".join,
)
def test_a_service_that_does_not_run_is_named(
    command: tuple[str, ...], provisioned_server: LocalNatsServer
) -> None:
    code, output = run_command(*command, "--nats", provisioned_server.url)
    assert code == 3, output
    assert "does not answer" in output
    assert "`tapewire status` shows which services run" in output


@pytest.mark.slow  # it tries for 15 s
def test_items_that_no_service_takes_are_reported_with_the_cure(
    empty_server: LocalNatsServer, tmp_path: Path
) -> None:
    file = tmp_path / "items.csv"
    file.write_text("title,source\na,b\n")
    code, output = run_command("items", "load", str(file), "--nats", empty_server.url)
    assert code == 3, output
    assert "stopped there: insights does not answer load" in output
    assert "run `tapewire provision`" in output


@pytest.mark.parametrize("command", [("status",), ("journal", "status"), ("provision",)])
def test_refused_credentials_are_reported_as_such(command: tuple[str, ...], tmp_path: Path) -> None:
    with plain_server(tmp_path, 'authorization { user: "ann", password: "right" }') as url:
        address = url.replace("nats://", "nats://ann:hunter2@")
        code, output = run_command(*command, "--nats", address, TAPEWIRE_NATS_WAIT="1")
    assert code == 3, output
    assert "refuses the credentials" in output
    assert "TAPEWIRE_NATS_PASSWORD_FILE" in output
    assert "hunter2" not in output


@pytest.mark.parametrize("command", [("status",), ("journal", "status"), ("verify",)])
def test_a_server_without_jetstream_is_reported_as_another_one(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    with plain_server(tmp_path, "", jetstream=False) as url:
        code, output = run_command(*command, "--nats", url, TAPEWIRE_NATS_WAIT="2")
    assert code == 3, output
    assert "this NATS server has no JetStream" in output


async def test_a_missing_permission_is_reported_with_who_has_it(tmp_path: Path) -> None:
    server = SecuredNats(tmp_path, [OPERATOR])
    await server.start()
    try:
        await server.provision()
        code, output = await asyncio.to_thread(
            run_command,
            *("journal", "erase", "--user", "ann", "--nats", server.url),
            TAPEWIRE_NATS_USER="operator",
            TAPEWIRE_NATS_PASSWORD_FILE=str(server.password_file("operator")),
        )
    finally:
        server.close()
    assert code == 2, output
    assert "sign in as one that may, such as admin" in output
