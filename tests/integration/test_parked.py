"""Parked events, as an operator sees them: the command line against a real server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

import tapewire
from tapewire.client import Client
from tapewire.log import RecordedEvent, failed_events
from tapewire.log.jetstream import connect, provision
from tests.harness import fork_server
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.waiting import wait_until, wait_until_async

SUBSCRIPTION = "audits@desk"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalNatsServer]:
    started = LocalNatsServer(tmp_path)
    started.start()
    yield started
    started.close()


@pytest.fixture
async def client(server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr(failed_events, "MAX_ATTEMPTS", 2)
    monkeypatch.setattr(failed_events, "POLL_SECONDS", 0.2)
    connection = await connect(server.url, "test")
    await provision(connection)
    await connection.close()
    async with tapewire.connect(server.url, "desk") as connected:
        yield connected


class AuditHandler:
    """Fails for the messages in `poisoned`."""

    def __init__(self, *poisoned: str) -> None:
        self.poisoned = set(poisoned)
        self.handled: list[str] = []

    async def handle(self, recorded: RecordedEvent) -> None:
        message = msgspec.json.decode(recorded.data)["message"]
        if message in self.poisoned:
            raise KeyError(message)
        self.handled.append(message)


async def run_command(server: LocalNatsServer, *words: str) -> tuple[int, str]:
    """Run `tapewire parked`; its exit code and everything that it printed."""
    command = ("parked", *words, "--nats", server.url)
    result = await asyncio.to_thread(fork_server.run_cli, *command, timeout=60)
    return result.returncode, result.stdout + result.stderr


async def wait_until_parked(server: LocalNatsServer, count: int) -> list[str]:
    """Wait until `list` shows `count` parked events; its lines."""
    lines: list[str] = []

    async def are_parked() -> bool:
        nonlocal lines
        _, printed = await run_command(server, "list")
        lines = printed.splitlines()
        return len(lines) == count and all(" parked " in line for line in lines)

    await wait_until_async(f"{count} parked", are_parked, describe_last=lambda: lines)
    return lines


async def test_an_operator_lists_shows_retries_and_drops_parked_events(
    server: LocalNatsServer, client: Client
) -> None:
    handler = AuditHandler("one", "two", "three")
    await client.subscribe_durable("audits", tapewire.pattern(domain="alerts"), handler.handle)
    for message in ("one", "two", "fine", "three"):
        await client.alert(user="alice", message=message)

    lines = await wait_until_parked(server, 3)

    assert handler.handled == ["fine"]
    assert all(line.startswith(SUBSCRIPTION) and "2 tries" in line for line in lines)
    sequences = [line.split()[1] for line in lines]
    code, output = await run_command(server, "show", SUBSCRIPTION, sequences[0])
    assert code == 0
    assert "KeyError: 'one'" in output
    assert '"message":"one"' in output

    assert (await run_command(server, "drop", SUBSCRIPTION, sequences[1]))[0] == 0
    handler.poisoned = {"three"}
    assert (await run_command(server, "retry", SUBSCRIPTION, "--all"))[0] == 0
    await wait_until("handled", lambda: "one" in handler.handled)
    [left] = await wait_until_parked(server, 1)

    assert left.split()[1] == sequences[2]
    assert handler.handled == ["fine", "one"]
    assert (await run_command(server, "list", "--subscription", "other@desk")) == (0, "")
    code, listed = await run_command(server, "list", "--json")
    assert code == 0
    assert msgspec.json.decode(listed)["error"] == "KeyError: 'three'"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("show", SUBSCRIPTION, "7"), "'audits@desk' has no failed event 7"),
        (("retry", SUBSCRIPTION, "7"), "'audits@desk' has no failed event 7"),
        (("drop", "no\nbody", "7"), "has no failed event 7"),
        (("retry", SUBSCRIPTION), "name a SEQUENCE, or --all"),
        (("drop", SUBSCRIPTION, "7", "--all"), "name a SEQUENCE, or --all"),
        (("show", SUBSCRIPTION, "0"), "0 is not in the range"),
        (("show", SUBSCRIPTION, "first"), "'first' is not a valid integer range"),
    ],
)
@pytest.mark.usefixtures("client")
async def test_what_is_not_parked_is_named(
    server: LocalNatsServer, words: tuple[str, ...], complaint: str
) -> None:
    code, printed = await run_command(server, *words)
    assert code == 2
    assert complaint in printed
    assert "Traceback" not in printed


async def test_nothing_parked_is_no_error(server: LocalNatsServer, client: Client) -> None:
    del client
    assert await run_command(server, "retry", SUBSCRIPTION, "--all") == (
        0,
        f"no event of {SUBSCRIPTION} is parked\n",
    )
