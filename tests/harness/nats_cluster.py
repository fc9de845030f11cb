"""Three NATS servers that form one JetStream cluster, for tests of replicas."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tapewire.cli.up.embedded_nats import find_free_port
from tests.harness.nats_servers import (
    START_TIMEOUT_SECONDS,
    _set_parent_death_signal,
    nats_server_binary,
)

SERVERS = 3
_CONFIG = """\
server_name: {name}
host: 127.0.0.1
port: {port}
{pings}
jetstream {{ store_dir: {store} }}
cluster {{
  name: test
  host: 127.0.0.1
  port: {cluster_port}
  routes: {routes}
  {pings}
}}
"""
SHIPPED_CONFIG = Path(__file__).parents[2] / "k8s" / "base" / "nats.conf"


def shipped_pings() -> str:
    """The lines of the shipped configuration by which a suspended peer is found."""
    lines = SHIPPED_CONFIG.read_text().splitlines()
    return "\n".join(line for line in lines if line.startswith("ping_"))


class NatsCluster:
    """The servers by number, and the URL of all. Any of them can be killed and restarted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = [find_free_port() for _ in range(SERVERS)]
        cluster_ports = [find_free_port() for _ in range(SERVERS)]
        routes = [f"nats-route://127.0.0.1:{port}" for port in cluster_ports]
        self.url = ",".join(f"nats://127.0.0.1:{port}" for port in self._ports)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        for number in range(SERVERS):
            text = _CONFIG.format(
                name=f"n{number}",
                port=self._ports[number],
                store=json.dumps(str(folder / f"n{number}")),
                cluster_port=cluster_ports[number],
                routes=json.dumps(routes),
                pings=shipped_pings(),
            )
            (folder / f"n{number}.conf").write_text(text)

    def start(self, number: int) -> None:
        """Start a server, or start it again with its store."""
        with (self._folder / f"n{number}.log").open("ab") as log:
            self._processes[number] = subprocess.Popen(  # noqa: PLW1509, RUF100
                [nats_server_binary(), "-c", str(self._folder / f"n{number}.conf")],
                stdout=log,
                stderr=log,
                preexec_fn=_set_parent_death_signal,
            )

    def kill(self, number: int) -> None:
        """Kill a server at once."""
        process = self._processes.pop(number)
        process.kill()
        process.wait()

    def freeze(self, number: int) -> None:
        """Suspend a server; its connections stay open."""
        process = self._processes[number]
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)

    def thaw(self, number: int) -> None:
        self._processes[number].send_signal(signal.SIGCONT)

    def url_of(self, number: int) -> str:
        """The URL of one server."""
        return self.url.split(",")[number]

    def wait_for_leader(self) -> None:
        """Wait until the cluster has elected its leader."""
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        logs = [self._folder / f"n{number}.log" for number in range(SERVERS)]
        while not any("JetStream cluster new metadata leader" in log.read_text() for log in logs):
            if time.monotonic() > deadline:
                raise AssertionError(f"no leader: {logs[0].read_text()[-2000:]}")
            time.sleep(0.05)

    def close(self) -> None:
        for number in [*self._processes]:
            self.kill(number)


@contextlib.contextmanager
def run_nats_cluster(folder: Path) -> Iterator[NatsCluster]:
    """A cluster that runs during the block."""
    cluster = NatsCluster(folder)
    try:
        for number in range(SERVERS):
            cluster.start(number)
        cluster.wait_for_leader()
        yield cluster
    finally:
        cluster.close()
