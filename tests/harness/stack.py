"""A whole system for tests: the processes that `tapewire up` starts, controlled from outside.

`stack` is one system per session (one per test worker), with a random walk. `stack_factory`
starts others, for tests that need their own feed, environment or data directory, or that stop
processes. All processes end with the tests, and a test that leaves a process behind fails.

`up` and its services are forked from a process that has imported them, unless a test asks for
interpreters. Every process of a stack holds the lock of its data directory open, and those that are
not forked have a mark in their environment. Both find leftover processes, even those that `up` no
longer tracks.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import httpx
import psutil
import pytest

from tapewire.cli.up import parent_death_signal
from tapewire.cli.up.data_dir import LOCK_FILE
from tests.harness import fork_server
from tests.harness.fork_server import ForkedProcess

START_TIMEOUT_SECONDS = 120.0
STOP_TIMEOUT_SECONDS = 90.0
WAIT_TIMEOUT_SECONDS = 90.0
POLL_INTERVAL_SECONDS = 0.02
EXIT_TIMEOUT_SECONDS = 30.0
"""The time within which killed processes must be gone."""

MARK_VARIABLE = "TAPEWIRE_TEST_STACK"
TAPEWIRE = (sys.executable, "-P", "-m", "tapewire.cli")


class Stack:
    """A running `tapewire up`."""

    def __init__(
        self, folder: Path, args: Sequence[str], env: Mapping[str, str], *, fork: bool
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.data_dir = folder / "data"
        self.mark = uuid.uuid4().hex
        self._stdout_file, self._log_file = folder / "up.out", folder / "up.log"
        arguments = ["up", "--data-dir", str(self.data_dir), *args]
        clean = {key: value for key, value in os.environ.items() if not _is_tapewire_variable(key)}
        with self._stdout_file.open("wb") as out, self._log_file.open("ab") as log:
            environment = {**clean, **env, MARK_VARIABLE: self.mark}
            start = _fork_up if fork else _start_up
            self.process = start(arguments, environment, out, log)

    @property
    def url(self) -> str:
        """The URL of the edge, without a slash at the end."""
        return str(self.read_run_file()["url"])

    @property
    def nats_url(self) -> str:
        return str(self.read_run_file()["natsUrl"])

    def read_run_file(self) -> dict[str, Any]:
        """The contents of `run.json`."""
        found: dict[str, Any] = json.loads((self.data_dir / "run.json").read_bytes())
        return found

    def pids(self) -> dict[str, int]:
        """The current processes by name: nats, prices, orders, edge-0, …"""
        return dict(self.read_run_file()["pids"])

    def pid(self, name: str, *, other_than: int = 0) -> int:
        """The pid of `name` once it is ready; with `other_than`, once another process has replaced
        that one."""

        pid = 0

        def found() -> bool:
            nonlocal pid
            run = self.read_run_file()
            pid = int(run["pids"].get(name, 0))
            return bool(pid) and pid != other_than and name in run["ready"]

        self.wait_for(
            f"{name} is ready, other than {other_than}", found, describe_last=self.read_run_file
        )
        return pid

    def nats_pid(self) -> int:
        """The pid of the current message server; a new one after it was killed and restarted."""
        return self.pid("nats")

    def kill(self, name: str, signal_number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to `name`; return the pid that it had."""
        pid = self.pid(name)
        os.kill(pid, signal_number)
        return pid

    def sign_in(self, user: str, roles: Sequence[str] = ()) -> httpx.Cookies:
        """The cookies of a new session of `user`, once the edge can create one."""
        body = {"userId": user, "roles": list(roles)}
        with httpx.Client(base_url=self.url, timeout=WAIT_TIMEOUT_SECONDS) as client:
            _retry_while_unavailable(
                lambda: client.post("/api/session", json=body)
            ).raise_for_status()
            return client.cookies

    def wait_until_healthy(self) -> None:
        """Wait until order requests are answered. After the message server or a service was killed,
        503 is right for a while."""
        cookies = self.sign_in("wait-well")
        with httpx.Client(
            base_url=self.url, timeout=WAIT_TIMEOUT_SECONDS, cookies=cookies
        ) as client:
            _retry_while_unavailable(lambda: client.get("/api/orders")).raise_for_status()

    def log_text(self) -> str:
        """The log output of `up` and all its services so far."""
        return self._log_file.read_text(errors="replace")

    def stdout_text(self) -> str:
        """The standard output of `up` so far."""
        return self._stdout_file.read_text()

    def wait_for(
        self,
        description: str,
        condition: Callable[[], object],
        *,
        describe_last: Callable[[], object] = lambda: "",
        timeout_seconds: float = WAIT_TIMEOUT_SECONDS,
    ) -> None:
        """Wait until `condition` holds. Otherwise fail with `description`, the value of
        `describe_last()` and the end of the log."""
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"not within {timeout_seconds:g} s: {description}; "
                    f"last seen: {describe_last()!r}; "
                    f"the log ends:\n{self.log_tail()}"
                )
            time.sleep(POLL_INTERVAL_SECONDS)

    def wait_ready(self) -> None:
        """Return once `up` has printed its ready line; fail with its log if it does not."""
        self.wait_for(
            "tapewire up is ready, or has ended",
            lambda: self.stdout_text().startswith("ready ") or self.process.poll() is not None,
            timeout_seconds=START_TIMEOUT_SECONDS,
        )
        if not self.stdout_text().startswith("ready "):
            raise AssertionError(
                f"tapewire up ended with {self.process.returncode}; "
                f"its log ends:\n{self.log_tail()}"
            )

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of the log."""
        return "\n".join(self.log_text().splitlines()[-lines:])

    def send_signal(self, signal_number: signal.Signals) -> None:
        """Send a signal to `up` alone."""
        self.process.send_signal(signal_number)

    def stop(self, signal_number: signal.Signals = signal.SIGTERM) -> int:
        """Stop `up` as a person would, and return its exit code. Leftover processes are killed and
        fail the test."""
        if self.process.poll() is None:
            self.send_signal(signal_number)
        try:
            code = self.process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.wait_for(
                "no process remains after tapewire up ended",
                lambda: not self.living_processes(),
                timeout_seconds=EXIT_TIMEOUT_SECONDS,
            )
            raise AssertionError(f"up did not stop; its log ends:\n{self.log_tail()}") from None
        left = self.living_processes()
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if left:
            raise AssertionError(f"left behind: {left}; the log ends:\n{self.log_tail()}")
        return code

    def living_processes(self) -> list[psutil.Process]:
        """Every living process of this stack except `up` itself."""
        return [
            process
            for process in psutil.process_iter()
            if process.pid != self.process.pid and self._includes(process)
        ]

    def _includes(self, process: psutil.Process) -> bool:
        """Whether `process` is alive and belongs to this stack."""
        try:
            return process.status() != psutil.STATUS_ZOMBIE and (
                process.environ().get(MARK_VARIABLE) == self.mark
                or _has_open(process.pid, self.data_dir.resolve() / LOCK_FILE)
            )
        except (psutil.Error, OSError):
            return False


def _retry_while_unavailable(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """Return the first response other than 503."""
    deadline = time.monotonic() + WAIT_TIMEOUT_SECONDS
    while (response := ask()).status_code == 503 and time.monotonic() < deadline:
        time.sleep(POLL_INTERVAL_SECONDS)
    return response


def _fork_up(
    arguments: Sequence[str], environment: Mapping[str, str], out: IO[bytes], log: IO[bytes]
) -> ForkedProcess:
    """Start `tapewire up` in a session of its own. It ends with a killed test run."""
    return fork_server.start(
        fork_server.CLI,
        environment,
        out.fileno(),
        arguments=arguments,
        error_fd=log.fileno(),
        new_session=True,
    )


def _start_up(
    arguments: Sequence[str], environment: Mapping[str, str], out: IO[bytes], log: IO[bytes]
) -> "subprocess.Popen[bytes]":
    """Start it as a user does, and each service with an interpreter of its own."""
    return subprocess.Popen(
        parent_death_signal.wrap_command([*TAPEWIRE, *arguments]),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=log,
        start_new_session=True,
    )


def _has_open(pid: int, file: Path) -> bool:
    """Whether the process `pid` has `file` open. Raises OSError."""
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if descriptor.readlink() == file:
                return True
    return False


def _is_tapewire_variable(variable: str) -> bool:
    """Whether the variable is a setting of the developer's environment that would change a
    stack."""
    return variable.startswith(("TAPEWIRE_", "SSE_", "OTEL_"))


class StackFactory(Protocol):
    """Starts a stack and returns it once it is ready (at once with `wait=False`).

    `env` holds settings for all processes, `folder` is the folder of an earlier stack, and `args`
    are further options of `up`. Without `fork`, every process is started with an interpreter of its
    own, as a user's are.
    """

    def __call__(
        self,
        *,
        feed: Path | None = None,
        speed: float | None = 20.0,
        env: Mapping[str, str] | None = None,
        folder: Path | None = None,
        port: int = 0,
        workers: int = 1,
        nats: str | None = None,
        sign_in: bool = True,
        args: Sequence[str] = (),
        wait: bool = True,
        fork: bool = True,
    ) -> Stack: ...


def _stack_factory(folders: Callable[[], Path], started: list[Stack]) -> StackFactory:
    def start(
        *,
        feed: Path | None = None,
        speed: float | None = 20.0,
        env: Mapping[str, str] | None = None,
        folder: Path | None = None,
        port: int = 0,
        workers: int = 1,
        nats: str | None = None,
        sign_in: bool = True,
        args: Sequence[str] = (),
        wait: bool = True,
        fork: bool = True,
    ) -> Stack:
        options = ["--port", str(port), "--workers", str(workers)]
        options += ["--feed", str(feed)] if feed is not None else []
        options += ["--speed", f"{speed:g}"] if speed is not None else []
        options += ["--nats", nats] if nats is not None else []
        options += [] if sign_in else ["--no-sign-in"]
        stack = Stack(folder or folders(), [*options, *args], env or {}, fork=fork)
        started.append(stack)
        if wait:
            stack.wait_ready()
        return stack

    return start


@contextlib.contextmanager
def stacks(folders: Callable[[], Path]) -> Iterator[StackFactory]:
    """A factory whose stacks end with the block. Each stack is checked for leftover processes."""
    started: list[Stack] = []
    try:
        yield _stack_factory(folders, started)
    finally:
        failures = []
        for stack in reversed(started):
            try:
                stack.stop()
            except AssertionError as failure:
                failures.append(str(failure))
        if failures:
            raise AssertionError("\n".join(failures))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One system for the session. A test that kills a part of it waits until the part is back."""
    with stacks(lambda: tmp_path_factory.mktemp("stack")) as start:
        yield start(speed=5)


@pytest.fixture
def stack_factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackFactory]:
    """Starts systems for a single test."""
    with stacks(lambda: tmp_path_factory.mktemp("stack")) as start:
        yield start
