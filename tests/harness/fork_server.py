"""Starts Python programs quickly, by forking them from a process that has already imported them.

`start` behaves as `subprocess.Popen([sys.executable, "-m", MODULE, ...])`: the program is a child
of the calling process, with its own environment and file descriptors, and runs the same `__main__`
module. `run_cli` runs a command of `tapewire` to its end. Importing a service takes a second of CPU
time, which a test run with hundreds of processes does not spend.

`tapewire up` that is started like this forks its services from itself. They still are its children,
each in a session of its own, with the environment and the descriptors that `up` gives them.
"""

import atexit
import contextvars
import ctypes
import importlib
import itertools
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any, NoReturn

import structlog

from tapewire.cli import COMMANDS
from tapewire.cli.run import installed_services

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
POLL_INTERVAL_SECONDS = 0.01
MAX_REQUEST_BYTES = 1 << 20
MAX_FDS = 16

SERVICE_PACKAGE = "tapewire_services"
CLI = "tapewire.cli"
UP = "up"

_libc = ctypes.CDLL(None, use_errno=True)
_start_lock = threading.Lock()


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
    module: str,
    environment: Mapping[str, str],
    output_fd: int,
    fds: Mapping[str, int] | None = None,
    *,
    arguments: Sequence[str] = (),
    input_fd: int | None = None,
    error_fd: int | None = None,
    new_session: bool = False,
) -> ForkedProcess:
    """Start `python -m MODULE ARGUMENTS`.

    Args:
        environment: All environment variables of the process.
        output_fd: Its standard output, and its standard error without `error_fd`.
        fds: Further descriptors that it inherits, by the environment variable that names their
            number.
        input_fd: Its standard input; without it, nothing can be read there.
        new_session: Run it in a session of its own.
    """
    further = fds or {}
    request = {
        "module": module,
        "arguments": [*arguments],
        "environment": dict(environment),
        "fds": [*further],
        "new_session": new_session,
        "parent": os.getpid(),
        "directory": os.getcwd(),  # noqa: PTH109
    }
    with open(os.devnull, "rb") as nothing, _start_lock:  # noqa: PTH123
        given = [
            nothing.fileno() if input_fd is None else input_fd,
            output_fd,
            output_fd if error_fd is None else error_fd,
        ]
        server = _server()
        # The program's parent exits at once, and the nearest subreaper inherits it.
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        try:
            socket.send_fds(server, [json.dumps(request).encode()], [*given, *further.values()])
            return ForkedProcess(int(server.recv(64)))
        finally:
            _prctl(PR_SET_CHILD_SUBREAPER, 0)


def start_service(
    name: str,
    environment: Mapping[str, str],
    output_fd: int,
    fds: Mapping[str, int] | None = None,
) -> ForkedProcess:
    """Start the service `name`, which writes to `output_fd`."""
    return start(f"{SERVICE_PACKAGE}.{name}", environment, output_fd, fds)


def run_cli(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout: float,
) -> "subprocess.CompletedProcess[str]":
    """Run `tapewire ARGUMENTS` to its end. Raises subprocess.TimeoutExpired."""
    with (
        tempfile.TemporaryFile() as input_,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as error,
    ):
        input_.write(stdin)
        input_.seek(0)
        process = start(
            CLI,
            os.environ if environment is None else environment,
            output.fileno(),
            arguments=arguments,
            input_fd=input_.fileno(),
            error_fd=error.fileno(),
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        output.seek(0)
        error.seek(0)
        outputs = (file.read().decode(errors="surrogateescape") for file in (output, error))
        return subprocess.CompletedProcess(["tapewire", *arguments], code, *outputs)


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
    """Answer each request with the pid of a new process, until the client is gone."""
    while True:
        data, fds, _, _ = socket.recv_fds(connection, MAX_REQUEST_BYTES, MAX_FDS)
        if not data:
            return
        request = json.loads(data)
        _import_program(request["module"], request["arguments"])
        reading, writing = os.pipe()
        intermediate = os.fork()
        if intermediate == 0:
            program = os.fork()
            if program == 0:
                connection.close()
                _run_request(request, fds)
            os.write(writing, str(program).encode())
            os._exit(0)
        os.waitpid(intermediate, 0)
        connection.send(os.read(reading, 64))
        for fd in (reading, writing, *fds):
            os.close(fd)


def _import_program(module: str, arguments: Sequence[str]) -> None:
    """Import what `python -m MODULE ARGUMENTS` runs."""
    if module != CLI:
        importlib.import_module(f"{module}.__main__")
        return
    command = arguments[0] if arguments else ""
    if command in COMMANDS:
        importlib.import_module(f"{CLI}.{COMMANDS[command]}")
    if command == UP:
        for name in installed_services():
            importlib.import_module(f"{SERVICE_PACKAGE}.{name}.__main__")


def _run_request(request: dict[str, Any], fds: list[int]) -> NoReturn:
    while os.getppid() != request["parent"]:
        time.sleep(0.001)
    standard, inherited = fds[:3], fds[3:]
    for number, fd in enumerate(standard):
        os.dup2(fd, number)
    for fd in {*standard}:
        os.close(fd)
    for fd in inherited:
        os.set_inheritable(fd, True)
    if request["new_session"]:
        os.setsid()
    os.chdir(request["directory"])
    numbers = {name: str(fd) for name, fd in zip(request["fds"], inherited, strict=True)}
    module, arguments = request["module"], request["arguments"]
    if module == CLI and arguments[:1] == [UP]:
        _fork_services()
    _run_program(module, arguments, request["environment"] | numbers)


def _run_program(module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Run the program in this process, which has just been forked, and exit with its code."""
    code = 1
    try:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        _reset_signals()
        os.environ.clear()
        os.environ.update(environment)
        python_path = environment.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[1:1] = [folder for folder in python_path if folder and folder not in sys.path]
        sys.argv = [module, *arguments]
        sys.modules.pop(f"{module}.__main__", None)  # runpy warns when it is imported already
        runpy.run_module(module, run_name="__main__")
        code = 0
    except SystemExit as end:
        code = _exit_code(end)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _reset_signals() -> None:
    """Handle signals as a new interpreter does."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def _exit_code(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    sys.stderr.write(f"{end.code}\n")
    return 1


def _fork_services() -> None:
    """Let this process, `tapewire up`, start services by forking itself."""
    # A logger that `up` has cached would write the lines of a service as lines of `up`.
    configure = structlog.configure
    structlog.configure = lambda **options: configure(
        **{**options, "cache_logger_on_first_use": False}
    )
    subprocess.Popen = _ForkingPopen  # type: ignore[assignment, misc]


class _ForkingPopen(subprocess.Popen[Any]):
    """Starts `python ... -m tapewire_services.NAME` by a fork of this process, and anything else as
    usual."""

    def __init__(self, args: Sequence[str], **options: Any) -> None:
        *_, option, module = args
        if option == "-m" and module.startswith(f"{SERVICE_PACKAGE}."):
            environment, fds = options["env"], options["pass_fds"]
            options["preexec_fn"] = partial(_become_service, module, environment, fds)
        super().__init__(args, **options)


def _become_service(module: str, environment: Mapping[str, str], fds: Sequence[int]) -> NoReturn:
    """Instead of `exec`, in the forked process: keep only the standard descriptors and `fds`."""
    kept_fds = sorted({2, *fds})
    for fd, following in itertools.pairwise([*kept_fds, os.sysconf("SC_OPEN_MAX")]):
        os.closerange(fd + 1, following)
    contextvars.Context().run(_run_program, module, [], environment)
    raise AssertionError("unreachable")


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
