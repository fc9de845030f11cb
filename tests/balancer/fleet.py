"""Edge processes behind nginx. Each has its own port and keeps it when it is restarted."""

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.harness.edge import EdgeClient, EdgeProcess, Harness, ManagedService
from tests.harness.nginx import NginxProcess, ReservedPort


class FixedPortEdge(EdgeProcess):
    """An edge that binds its port itself at the end of its start, as in a container. Until then
    connections are refused."""

    def __init__(self, settings: dict[str, str], folder: Path, port: int) -> None:
        self.port = port
        EdgeClient.__init__(self, f"http://127.0.0.1:{port}")
        ManagedService.__init__(self, "edge", {**settings, "TAPEWIRE_PORT": str(port)}, folder)


class EdgeFleet(EdgeClient):
    """A harness with several edges and nginx in front of them, which clients connect to."""

    def __init__(self, folder: Path, size: int, **settings: Any) -> None:
        self.harness = Harness(folder)
        self._folder = folder
        self._settings = settings
        self._extra_proxies: list[NginxProcess] = []
        self._reserved_ports = [ReservedPort() for _ in range(size)]
        self.edges: list[EdgeProcess] = []
        try:
            self.edges = [self._start_edge(port.port) for port in self._reserved_ports]
            for edge in self.edges:
                edge.wait_ready()
            self.nginx = self.start_proxy()
        except BaseException:
            self.close()
            raise
        super().__init__(self.nginx.url)

    def start_proxy(self, changes: Mapping[str, str] | None = None) -> NginxProcess:
        """Start another nginx in front of the same edges, with changed configuration lines."""
        folder = self._folder / f"nginx-{len(self._extra_proxies)}"
        made = NginxProcess(folder, [port.port for port in self._reserved_ports], changes)
        self._extra_proxies.append(made)
        return made

    def restart_edge(self, number: int) -> None:
        """Restart edge `number` on its port, without waiting."""
        self.edges[number] = self._start_edge(self._reserved_ports[number].port)

    def find_edge_of(self, client_id: str) -> int:
        """The number of the edge that opened the stream of that client id."""
        [found] = [
            number
            for number, edge in enumerate(self.edges)
            if edge.find_log_lines("stream.opened", client_id=client_id)
        ]
        return found

    def close(self) -> None:
        with contextlib.ExitStack() as closing:
            for port in self._reserved_ports:
                closing.callback(port.close)
            closing.callback(self.harness.close)
            for front in self._extra_proxies:
                closing.callback(front.close)

    def _start_edge(self, port: int) -> EdgeProcess:
        return self.harness.start_process(
            lambda environment, folder: FixedPortEdge(environment, folder, port), **self._settings
        )


def client_id_of(stream: Any) -> str:
    """The client id that a stream was opened with, as in logs: without the key of a stream without
    a session."""
    connected = next(frame for frame in stream.frames if frame.event in ("connected", "CONNECTED"))
    data = connected.data
    client_id = str(data.get("clientId") or data["client_id"])
    return re.sub("-[0-9a-f]{32}$", "", client_id)
