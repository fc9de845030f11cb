"""A NATS server with the accounts, users and permissions of `tapewire nats-config`.

`SecuredNats` starts it. `attack` gives a client of nats-py that may try anything, as somebody with
the credentials of a service would.
"""

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import nats
from nats.aio.client import Client

from tapewire.cli.nats_config.accounts import ADMIN, render_accounts
from tapewire.cli.nats_config.declarations import all_durables
from tapewire.cli.up.embedded_nats import find_free_port
from tapewire.cli.up.nats_users import NatsUsers
from tapewire.log.jetstream import NatsConnection, NatsCredentials, connect
from tapewire.log.jetstream.provisioning import provision_when_available
from tapewire.runtime.nats_access import NatsAccess
from tests.harness.nats_servers import _set_parent_death_signal, nats_server_binary
from tests.harness.waiting import wait_until, wait_until_async

CLUSTER_SERVERS = 3
CLUSTER_TIMEOUT_SECONDS = 60.0
STORE_LIMIT = "256MB"
REFUSAL_TIMEOUT_SECONDS = 20.0


class SecuredNats:
    """The server. `start` it, `provision` it, `close` it.

    `head` is more configuration, such as a ``tls`` block. Without `with_permissions` only the
    accounts and what they import limit a user.
    """

    def __init__(
        self,
        folder: Path,
        accesses: Sequence[NatsAccess],
        *,
        head: str = "",
        with_permissions: bool = True,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.head = head
        self.port = find_free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self.accesses = accesses
        self._with_permissions = with_permissions
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def users(self) -> NatsUsers:
        """The users, with the passwords that their files have now."""
        return NatsUsers.create(self.folder, [access.name for access in self.accesses])

    def password_file(self, user: str) -> Path:
        return self.folder / "nats" / user

    def credentials(self, user: str, **more: str) -> NatsCredentials:
        """The credentials of `user`, from its file."""
        return NatsCredentials(user=user, password_file=str(self.password_file(user)), **more)

    def write_configuration(self) -> None:
        """Write the configuration with the passwords and the head as they are now."""
        accounts = render_accounts(self.accesses, self.users.secrets)
        if not self._with_permissions:
            accounts = _without_permissions(accounts)
        store = json.dumps(str(self.folder / "store"))
        (self.folder / "nats.conf").write_text(
            f"listen: 127.0.0.1:{self.port}\nlogfile: {json.dumps(str(self.log_path))}\n"
            f"jetstream {{ store_dir: {store}, max_file_store: {STORE_LIMIT} }}\n"
            f"{self.head}\n{accounts}"
        )

    @property
    def log_path(self) -> Path:
        return self.folder / "nats.log"

    async def start(self) -> None:
        """Start the server. Returns once it answers."""
        self.write_configuration()
        self._process = subprocess.Popen(  # noqa: ASYNC220, PLW1509, RUF100
            [nats_server_binary(), "-c", str(self.folder / "nats.conf")],
            stderr=subprocess.DEVNULL,
            preexec_fn=_set_parent_death_signal,
        )
        await wait_until_async(
            "the server answers", self._answers, describe_last=lambda: self.log_path.read_text()
        )

    async def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            _reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.close()
            await writer.wait_closed()
            return True
        return False

    def reload(self) -> None:
        """Have the server read its configuration again. Clients with old passwords are cut off."""
        self.write_configuration()
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    async def provision(self, **more: str) -> None:
        """Create the streams and the durable subscriptions, as `tapewire provision` does."""
        admin = await self.connect_as(ADMIN, **more)
        await provision_when_available(
            admin, wait_seconds=60, replicas=1, durables=all_durables(self.accesses)
        )
        await admin.close()

    async def connect_as(self, user: str, **more: str) -> NatsConnection:
        """A connection of Tapewire's for `user`."""
        return await connect(self.url, user, credentials=self.credentials(user, **more))

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def _without_permissions(accounts: str) -> str:
    """The users of `accounts` without what limits them inside their accounts."""
    lines: list[str] = []
    skipping = False
    for line in accounts.splitlines():
        if "permissions: {" in line:
            lines.append(line.replace(", permissions: {", " }"))
            skipping = True
        elif skipping and line.strip() == "} }":
            skipping = False
        elif not skipping:
            lines.append(line)
    return "\n".join(lines) + "\n"


class Attacker:
    """A client with a service's credentials. Every error of the server is kept."""

    def __init__(self, client: Client, errors: list[str]) -> None:
        self.client = client
        self.errors = errors

    async def attempt(self, subjects: Iterable[str], data: bytes = b"{}", reply: str = "") -> None:
        """Publish to each of `subjects`."""
        for subject in subjects:
            await self.client.publish(subject, data, reply=reply)
        await self.client.flush(timeout=30)

    async def find_permitted(self, subjects: Sequence[str]) -> list[str]:
        """Those of `subjects` that the server has not refused within some seconds."""
        with contextlib.suppress(AssertionError):
            await wait_until(
                "everything is refused",
                lambda: all(map(self.was_refused, subjects)),
                timeout_seconds=REFUSAL_TIMEOUT_SECONDS,
            )
        return [subject for subject in subjects if not self.was_refused(subject)]

    def was_refused(self, subject: str) -> bool:
        """Whether the server refused a publication or a subscription of `subject`."""
        return any(f'to "{subject.lower()}"' in error.lower() for error in self.errors)


@contextlib.asynccontextmanager
async def attack(server: SecuredNats, user: str) -> Any:
    """Connect as `user`, by nats-py alone."""
    errors: list[str] = []

    async def keep(error: Exception) -> None:
        errors.append(str(error))

    password = server.password_file(user).read_text().strip()
    client = await nats.connect(server.url, user=user, password=password, error_cb=keep)
    try:
        yield Attacker(client, errors)
    finally:
        await client.close()


@contextlib.contextmanager
def plain_server(folder: Path, head: str, *, jetstream: bool = True) -> Iterator[str]:
    """A server with the configuration `head`, during the block; its URL."""
    port = find_free_port()
    store = json.dumps(str(folder / "plain-store"))
    storage = f"jetstream {{ store_dir: {store} }}" if jetstream else ""
    (folder / "plain.conf").write_text(f"listen: 127.0.0.1:{port}\n{storage}\n{head}\n")
    process = subprocess.Popen(  # noqa: PLW1509, RUF100
        [nats_server_binary(), "-c", str(folder / "plain.conf")],
        stderr=subprocess.DEVNULL,
        preexec_fn=_set_parent_death_signal,
    )
    try:
        yield f"nats://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@contextlib.asynccontextmanager
async def secured_cluster(
    folder: Path, accesses: Sequence[NatsAccess]
) -> AsyncIterator[list[SecuredNats]]:
    """Three servers with one set of users, which hold three copies of each stream."""
    ports = [find_free_port() for _ in range(CLUSTER_SERVERS)]
    routes = json.dumps([f"nats-route://127.0.0.1:{port}" for port in ports])
    servers: list[SecuredNats] = []
    try:
        for number, port in enumerate(ports):
            cluster = f'cluster {{ name: test, listen: "127.0.0.1:{port}", routes: {routes} }}'
            head = f"server_name: n{number}\n{cluster}"
            server = SecuredNats(folder / f"n{number}", accesses, head=head)
            if servers:
                shutil.copytree(servers[0].folder / "nats", server.folder / "nats")
            servers.append(server)
            await server.start()
        admin = await servers[0].connect_as(ADMIN)
        await provision_when_available(
            admin,
            wait_seconds=CLUSTER_TIMEOUT_SECONDS,
            replicas=CLUSTER_SERVERS,
            durables=all_durables(accesses),
        )
        await admin.close()
        yield servers
    finally:
        for server in servers:
            server.close()
