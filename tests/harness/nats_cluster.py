"""NATS servers that form one JetStream cluster, for tests of replicas.

Three of them run at first. They have ports of their own on this machine, or a host each, which is a
network namespace (`tests.harness.private_network`). More hosts are for servers that join later.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from nats.aio.msg import Msg

from tapewire.cli.up.embedded_nats import find_free_port
from tapewire.log.jetstream import NatsConnection, connect
from tapewire.log.ports import OutcomeUnknown, Unavailable
from tests.harness.nats_servers import (
    MAX_PORT_ATTEMPTS,
    START_TIMEOUT_SECONDS,
    _set_parent_death_signal,
    nats_server_binary,
)

SERVERS = 3
_CONFIG = """\
server_name: {name}
host: {address}
port: {port}
{pings}
accounts {{
  APP {{ jetstream: enabled, users: [ {{ user: app, password: app }} ] }}
  SYS {{ users: [ {{ user: {system_user}, password: {system_user} }} ] }}
}}
system_account: SYS
no_auth_user: app
jetstream {{ store_dir: {store}, {extra_settings} }}
cluster {{
  name: test
  host: {address}
  port: {cluster_port}
  routes: {routes}
  {pings}
}}
"""
_SYSTEM_USER = "system"
STOP_TIMEOUT_SECONDS = 30.0
PING_TIMEOUT_SECONDS = 1.0
POLL_INTERVAL_SECONDS = 0.05
SHIPPED_CONFIG = Path(__file__).parents[2] / "k8s" / "base" / "nats.conf"


def shipped_pings() -> str:
    """The lines of the shipped configuration by which a suspended peer is found."""
    lines = SHIPPED_CONFIG.read_text().splitlines()
    return "\n".join(line for line in lines if line.startswith("ping_"))


class ServerEnded(Exception):
    """A server of a cluster ended while the cluster was started; the message has its log."""


class ServerHost(msgspec.Struct, frozen=True, kw_only=True):
    """Where a server runs: its address and ports, its store, and what its command begins with."""

    address: str
    port: int
    cluster_port: int
    store: Path
    command_prefix: tuple[str, ...] = ()


def local_hosts(folder: Path, count: int = SERVERS) -> list[ServerHost]:
    """Hosts that share 127.0.0.1."""
    return [
        ServerHost(
            address="127.0.0.1",
            port=find_free_port(),
            cluster_port=find_free_port(),
            store=folder / f"n{number}",
        )
        for number in range(count)
    ]


class NatsCluster:
    """The servers by number, and the URL of the first three. Any of them can be killed and
    restarted.

    Args:
        folder: where configurations and logs are written.
        hosts: where the servers run; by default, three on this machine.
        extra_settings: further lines of the servers' block `jetstream`.
    """

    def __init__(
        self, folder: Path, hosts: Sequence[ServerHost] | None = None, extra_settings: str = ""
    ) -> None:
        self._folder = folder
        self.hosts = [*(hosts or local_hosts(folder))]
        routes = [f"nats-route://{host.address}:{host.cluster_port}" for host in self.hosts]
        self.url = ",".join(map(_client_url, self.hosts[:SERVERS]))
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        for number, host in enumerate(self.hosts):
            text = _CONFIG.format(
                name=f"n{number}",
                address=host.address,
                port=host.port,
                store=json.dumps(str(host.store)),
                extra_settings=extra_settings,
                cluster_port=host.cluster_port,
                routes=json.dumps([*routes[:SERVERS], *routes[number : number + 1]]),
                pings=shipped_pings(),
                system_user=_SYSTEM_USER,
            )
            (folder / f"n{number}.conf").write_text(text)

    @property
    def system_url(self) -> str:
        """The URL of all servers, for the user of the system account."""
        return self.url.replace("nats://", f"nats://{_SYSTEM_USER}:{_SYSTEM_USER}@")

    @property
    def running(self) -> frozenset[int]:
        """The numbers of the servers that have been started and neither killed nor stopped."""
        return frozenset(self._processes)

    def start(self, number: int) -> None:
        """Start a server, or start it again with its store."""
        config = str(self._folder / f"n{number}.conf")
        with (self._folder / f"n{number}.log").open("ab") as log:
            self._processes[number] = subprocess.Popen(  # noqa: PLW1509, RUF100
                [*self.hosts[number].command_prefix, nats_server_binary(), "-c", config],
                stdout=log,
                stderr=log,
                preexec_fn=_set_parent_death_signal,
            )

    def kill(self, number: int) -> None:
        """Kill a server at once."""
        process = self._processes.pop(number)
        process.kill()
        process.wait()

    def stop(self, number: int) -> None:
        """Stop a server as an operator does; it hands its leaderships over."""
        process = self._processes.pop(number)
        process.terminate()
        process.wait(STOP_TIMEOUT_SECONDS)

    def freeze(self, number: int) -> None:
        """Suspend a server; its connections stay open."""
        process = self._processes[number]
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)

    def thaw(self, number: int) -> None:
        self._processes[number].send_signal(signal.SIGCONT)

    def url_of(self, number: int) -> str:
        """The URL of one server."""
        return _client_url(self.hosts[number])

    def log_tail(self, number: int, lines: int = 30) -> str:
        """The last lines of a server's log."""
        text = (self._folder / f"n{number}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def wait_ready(self) -> None:
        """Wait until the three servers have elected a leader that knows them all; also from within
        a coroutine. Before that it has no place for three copies of a stream.

        Raises ServerEnded as soon as one of them has ended.
        """
        with ThreadPoolExecutor(1) as thread:
            thread.submit(lambda: asyncio.run(self._wait_for_peers())).result()

    async def _wait_for_peers(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        connecting = asyncio.create_task(
            connect(self.system_url, "harness", wait_seconds=START_TIMEOUT_SECONDS)
        )
        while not connecting.done():
            self._check_running()
            await asyncio.wait([connecting], timeout=POLL_INTERVAL_SECONDS)
        connection = await connecting
        try:
            while not await _are_peers_known(connection):
                self._check_running()
                logs = "\n".join(map(self.log_tail, self._processes))
                assert time.monotonic() < deadline, f"no cluster: {logs}"
                await asyncio.sleep(POLL_INTERVAL_SECONDS)
        finally:
            await connection.close()

    def _check_running(self) -> None:
        """Raise ServerEnded if a server ended by itself, such as one whose port was taken."""
        for number, process in self._processes.items():
            if process.poll() is not None:
                raise ServerEnded(
                    f"n{number} ended with {process.returncode}:\n{self.log_tail(number)}"
                )

    def close(self) -> None:
        for number in [*self._processes]:
            self.kill(number)


async def _are_peers_known(connection: NatsConnection) -> bool:
    """Whether the leader of JetStream, which alone lists its peers, finds all of them current."""
    answers: list[Msg] = []

    def is_last(answer: Msg) -> bool:
        answers.append(answer)
        return len(answers) == SERVERS

    with contextlib.suppress(OutcomeUnknown, Unavailable):
        await connection.request_many(
            "$SYS.REQ.SERVER.PING.JSZ", b"{}", None, is_last, timeout_seconds=PING_TIMEOUT_SECONDS
        )
    known = [
        json.loads(answer.data).get("data", {}).get("meta_cluster", {}).get("replicas") or []
        for answer in answers
    ]
    return any(
        len(peers) == SERVERS - 1 and all(peer.get("current") for peer in peers) for peers in known
    )


def _client_url(host: ServerHost) -> str:
    return f"nats://{host.address}:{host.port}"


@contextlib.contextmanager
def run_nats_cluster(
    folder: Path,
    hosts: Sequence[ServerHost] | None = None,
    extra_settings: str = "",
    choose_hosts: Callable[[Path], Sequence[ServerHost]] = local_hosts,
) -> Iterator[NatsCluster]:
    """A cluster of three servers that runs during the block.

    Without `hosts` it starts anew with others if a server ends: another process may take a port
    between its choice and the start, most likely a test beside this one. Raises ServerEnded if the
    servers of given `hosts` end, and after the last attempt.
    """
    cluster = _start_cluster(NatsCluster(folder, hosts or choose_hosts(folder), extra_settings))
    for _ in range(MAX_PORT_ATTEMPTS - 1):
        if hosts is None and isinstance(cluster, ServerEnded):
            cluster = _start_cluster(NatsCluster(folder, choose_hosts(folder), extra_settings))
    if isinstance(cluster, ServerEnded):
        raise cluster
    try:
        yield cluster
    finally:
        cluster.close()


def _start_cluster(cluster: NatsCluster) -> NatsCluster | ServerEnded:
    """Start the servers, or say which of them ended. No server runs then, and none has a store."""
    try:
        for number in range(SERVERS):
            cluster.start(number)
        cluster.wait_ready()
    except ServerEnded as error:
        cluster.close()
        for host in cluster.hosts:
            shutil.rmtree(host.store, ignore_errors=True)
        return error
    except BaseException:
        cluster.close()
        raise
    return cluster
