"""Edge processes behind nginx, each at a port of its own, which it keeps when it is restarted."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.balancer.nginx import Nginx, Reserved
from tests.integration.edge.house import Door, Edge, House, Service


class Member(Edge):
    """An edge that binds its port itself, last of all, as it does in a container: until then
    whoever connects is refused."""

    def __init__(self, settings: dict[str, str], folder: Path, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        Service.__init__(self, "edge", {**settings, "TAPEWIRE_PORT": str(port)}, folder)


class Fleet(Door):
    """A house of `size` edges, and nginx before them: the clients' way in."""

    def __init__(self, folder: Path, size: int, **settings: object) -> None:
        self.house = House(folder)
        self._folder = folder
        self._given = settings
        self._fronts: list[Nginx] = []
        self._ports = [Reserved() for _ in range(size)]
        self.edges: list[Edge] = []
        try:
            self.edges = [self._begin(port.number) for port in self._ports]
            for edge in self.edges:
                edge.wait_ready()
            self.nginx = self.front()
        except BaseException:
            self.close()
            raise
        self.url = self.nginx.url

    def front(self, changes: Mapping[str, str] | None = None) -> Nginx:
        """Another nginx before the same edges, with lines of its file changed."""
        folder = self._folder / f"nginx-{len(self._fronts)}"
        made = Nginx(folder, [port.number for port in self._ports], changes)
        self._fronts.append(made)
        return made

    def begin(self, number: int) -> None:
        """Start edge `number` anew, at its port, without waiting."""
        self.edges[number] = self._begin(self._ports[number].number)

    def opened(self, client: str) -> int:
        """The number of the edge that opened the stream of that client id."""
        [found] = [
            number
            for number, edge in enumerate(self.edges)
            if edge.logged("stream opened", client=client)
        ]
        return found

    def close(self) -> None:
        with contextlib.ExitStack() as closing:
            for port in self._ports:
                closing.callback(port.close)
            closing.callback(self.house.close)
            for front in self._fronts:
                closing.callback(front.close)

    def _begin(self, port: int) -> Edge:
        return self.house.begin(lambda *of: Member(*of, port), **self._given)


def client_of(stream: Any) -> str:
    """The client id that a stream was opened with."""
    connected = next(frame for frame in stream.frames if frame.event in ("connected", "CONNECTED"))
    data = connected.data
    return str(data.get("clientId") or data["client_id"])
