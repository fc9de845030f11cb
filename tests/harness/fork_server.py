"""Starts services quickly, by forking them from a process that has already imported them.

`start` behaves as `subprocess.Popen([sys.executable, "-m", "tapewire_services.NAME"])`: the service
is a child of the calling process, with its own environment and file descriptors, and runs the same
`__main__` module. Importing a service takes a second of CPU time, which a test run with a hundred
services does not spend.
"""

import atexit
import ctypes
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from functools import cache
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
POLL_INTERVAL_SECONDS = 0.01
MAX_REQUEST_BYTES = 1 << 20

_libc = ctypes.CDLL(None, use_errno=True)


class ForkedProcess:
    """The part of `subprocess.Popen` that tests use."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while the process runs."""
        with self._lock:
            if self.returncode is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            time.sleep(POLL_INTERVAL_SECONDS)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(
    name: str, environment: Mapping[str, str], output_fd: int, fds: Mapping[str, int]
) -> ForkedProcess:
    """Start the service `name`, which writes to `output_fd`. `fds` are further descriptors that it
    inherits, by the environment variable that names their number."""
    server = _server()
    request = json.dumps(
        {"name": name, "environment": dict(environment), "fds": [*fds], "parent": os.getpid()}
    )
    # The service's parent exits at once, and the nearest subreaper inherits it.
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        socket.send_fds(server, [request.encode()], [output_fd, *fds.values()])
        return ForkedProcess(int(server.recv(64)))
    finally:
        _prctl(PR_SET_CHILD_SUBREAPER, 0)


@cache
def _server() -> socket.socket:
    """A connection to the fork server, which ends when the connection is closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )

    def stop() -> None:
        ours.close()
        process.wait()

    atexit.register(stop)
    return ours


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl failed")


def _serve(connection: socket.socket) -> None:
    """Answer each request with the pid of a new service, until the client is gone."""
    while True:
        data, fds, _, _ = socket.recv_fds(connection, MAX_REQUEST_BYTES, 8)
        if not data:
            return
        request = json.loads(data)
        importlib.import_module(f"tapewire_services.{request['name']}.__main__")
        reading, writing = os.pipe()
        intermediate = os.fork()
        if intermediate == 0:
            service = os.fork()
            if service == 0:
                connection.close()
                _run_service(request, fds)
            os.write(writing, str(service).encode())
            os._exit(0)
        os.waitpid(intermediate, 0)
        connection.send(os.read(reading, 64))
        for fd in (reading, writing, *fds):
            os.close(fd)


def _run_service(request: dict[str, Any], fds: list[int]) -> NoReturn:
    while os.getppid() != request["parent"]:
        time.sleep(0.001)
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    output, *inherited = fds
    os.dup2(output, 1)
    os.dup2(output, 2)
    numbers = {name: str(fd) for name, fd in zip(request["fds"], inherited, strict=True)}
    os.environ.clear()
    os.environ.update(request["environment"] | numbers)
    code = 1
    package = f"tapewire_services.{request['name']}"
    del sys.modules[f"{package}.__main__"]  # runpy warns when it is imported already
    try:
        runpy.run_module(package, run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
