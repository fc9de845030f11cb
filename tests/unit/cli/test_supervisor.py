"""The supervisor, tested with small scripted processes.

`script` returns the spec of a process that runs a few lines of Python after `PRELUDE`. The console
records the printed lines, which show the order of the processes' actions.
"""

import asyncio
import io
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tapewire.cli.up.child_process import ProcessSpec
from tapewire.cli.up.console import Console, LogLevel
from tapewire.cli.up.supervisor import RestartPolicy, StartFailed, Supervisor
from tests.harness.waiting import wait_until

FAST_RESTARTS = RestartPolicy(
    initial_delay_seconds=0.01, max_delay_seconds=0.05, reset_after_seconds=30, max_failed_starts=3
)

PRELUDE = """
import os, signal, sys, time
def ready():
    os.write(int(os.environ["TAPEWIRE_READY_FD"]), b"ready\\n")
def wait():
    signal.signal(signal.SIGTERM, lambda *_: (print("asked to stop", flush=True), sys.exit(0)))
    ready()
    while True:  # not `pause`: a signal that comes right before it would be slept through
        time.sleep(0.05)
"""
WAITS = "wait()"
IGNORES_SIGTERM = "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready(); time.sleep(600)"


def script(name: str, body: str, **more: Any) -> ProcessSpec:
    argv = (sys.executable, "-I", "-S", "-c", PRELUDE + body)
    return ProcessSpec(name=name, argv=argv, env=dict(os.environ), **more)


class RecordingConsole(Console):
    """A console that records: `messages` of the supervisor, and `lines` of the processes."""

    def __init__(self) -> None:
        super().__init__(io.StringIO(), (), is_human_readable=True)
        self.messages: list[str] = []
        self.lines: list[tuple[str, str]] = []

    def log(
        self,
        event: str,  # noqa: ARG002
        message: str,
        level: LogLevel = "info",  # noqa: ARG002
        **_fields: Any,
    ) -> None:
        self.messages.append(message)

    def write_child_line(self, name: str, text: str) -> None:
        self.lines.append((name, text))


class SupervisorHarness:
    def __init__(self, stages: Sequence[Sequence[ProcessSpec]], pace: RestartPolicy) -> None:
        self.console = RecordingConsole()
        self.history: list[tuple[list[str], list[str]]] = []
        self.supervisor = Supervisor(
            stages,
            self.console,
            restart_policy=pace,
            on_change=lambda: self.history.append(
                (list(self.supervisor.pids), self.supervisor.ready_names)
            ),
        )

    def pid(self, name: str) -> int:
        return self.supervisor.pids.get(name, 0)


@asynccontextmanager
async def running_supervisor(
    *stages: Sequence[ProcessSpec], pace: RestartPolicy = FAST_RESTARTS
) -> AsyncIterator[SupervisorHarness]:
    made = SupervisorHarness(stages, pace)
    try:
        yield made
    finally:
        made.supervisor.kill()
        await made.supervisor.stop()
        assert made.supervisor.pids == {}


async def test_a_stage_starts_when_the_previous_one_is_ready() -> None:
    async with running_supervisor(
        [script("a", WAITS)], [script("b", WAITS), script("c", WAITS)]
    ) as it:
        await it.supervisor.start()
        assert it.supervisor.ready_names == ["a", "b", "c"]
        before_a_was_ready = [pids for pids, ready in it.history if "a" not in ready]
        assert before_a_was_ready == [["a"]]


async def test_stages_stop_in_reverse_order() -> None:
    async with running_supervisor(
        [script("a", WAITS)], [script("b", WAITS)], [script("c", WAITS)]
    ) as it:
        await it.supervisor.start()
        assert await it.supervisor.stop()
        assert it.console.lines == [
            ("c", "asked to stop"),
            ("b", "asked to stop"),
            ("a", "asked to stop"),
        ]
        assert it.supervisor.pids == {}


async def test_a_process_that_dies_is_restarted_and_logged() -> None:
    async with running_supervisor([script("a", WAITS)], [script("b", WAITS)]) as it:
        await it.supervisor.start()
        first, other = it.pid("a"), it.pid("b")
        os.kill(first, signal.SIGKILL)
        await wait_until("a is ready again", lambda: "a is ready again" in it.console.messages)
        assert it.pid("a") not in (0, first)
        assert it.pid("b") == other
        assert "a was killed by SIGKILL; starting it again in 0.01 s" in it.console.messages


async def test_repeated_deaths_increase_the_restart_delay() -> None:
    async with running_supervisor([script("a", "ready(); time.sleep(0.05); sys.exit(4)")]) as it:
        await it.supervisor.start()
        await wait_until(
            "the process was restarted five times",
            lambda: len(restart_messages(it)) >= 5,
            describe_last=lambda: it.console.messages,
        )
        assert [line.rpartition("again in ")[2] for line in restart_messages(it)[:5]] == [
            "0.01 s",
            "0.02 s",
            "0.04 s",
            "0.05 s",
            "0.05 s",
        ]
        assert restart_messages(it)[0].startswith("a exited with code 4")


def restart_messages(it: SupervisorHarness) -> list[str]:
    return [line for line in it.console.messages if "starting it again" in line]


async def test_a_process_that_never_becomes_ready_fails_the_start() -> None:
    async with running_supervisor([script("a", "print('no luck'); sys.exit(1)")]) as it:
        with pytest.raises(
            StartFailed, match="a was started 3 times and never got ready"
        ) as failure:
            await it.supervisor.start()
        assert failure.value.exit_code == 1
        assert it.console.lines == [("a", "no luck")] * 3


async def test_exit_code_2_during_the_start_is_not_retried() -> None:
    async with running_supervisor([script("a", "sys.exit(2)")], [script("b", WAITS)]) as it:
        with pytest.raises(StartFailed, match="a cannot run as it is configured") as failure:
            await it.supervisor.start()
        assert failure.value.exit_code == 2
        assert not any("b" in pids for pids, _ in it.history)


async def test_exit_code_2_after_readiness_leads_to_a_restart(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    body = f"""
if os.path.exists({str(mark)!r}): wait()
ready(); open({str(mark)!r}, "w"); time.sleep(0.05); sys.exit(2)
"""
    async with running_supervisor([script("a", body)]) as it:
        await it.supervisor.start()
        await wait_until(
            "the process is running again", lambda: "a is ready again" in it.console.messages
        )


async def test_a_missing_program_fails_the_start() -> None:
    part = ProcessSpec(name="a", argv=("/nowhere/nats-server",), env={})
    async with running_supervisor([part]) as it:
        with pytest.raises(StartFailed, match="never got ready"):
            await it.supervisor.start()
        assert it.console.lines[0] == ("a", "/nowhere/nats-server: No such file or directory")


async def test_a_process_that_does_not_stop_in_time_is_killed_and_logged() -> None:
    async with running_supervisor([script("a", IGNORES_SIGTERM, stop_timeout_seconds=0.1)]) as it:
        await it.supervisor.start()
        assert not await it.supervisor.stop()
        assert "a did not stop within 0.1 s and is killed" in it.console.messages


async def test_kill_ends_a_stop_in_progress() -> None:
    async with running_supervisor(
        [script("a", WAITS)], [script("b", IGNORES_SIGTERM, stop_timeout_seconds=600)]
    ) as it:
        await it.supervisor.start()
        stopping = asyncio.create_task(it.supervisor.stop())
        await asyncio.sleep(0)
        it.supervisor.kill()
        assert not await asyncio.wait_for(stopping, 60)


async def test_stop_during_the_start_ends_the_started_processes() -> None:
    async with running_supervisor([script("a", "time.sleep(600)")], [script("b", WAITS)]) as it:
        starting = asyncio.create_task(it.supervisor.start())
        await wait_until("a runs", lambda: it.pid("a"))
        starting.cancel()
        assert await it.supervisor.stop()
        assert it.supervisor.pids == {}


async def test_stop_during_a_restart_delay_does_not_wait() -> None:
    slow = RestartPolicy(initial_delay_seconds=600, max_delay_seconds=600)
    async with running_supervisor([script("a", WAITS)], pace=slow) as it:
        await it.supervisor.start()
        os.kill(it.pid("a"), signal.SIGKILL)
        await wait_until("the supervisor waits before the restart", lambda: restart_messages(it))
        assert await asyncio.wait_for(it.supervisor.stop(), 60)


async def test_child_processes_of_a_process_are_stopped_with_it() -> None:
    body = "import subprocess; subprocess.Popen(['sleep', '600']); wait()"
    part = script("a", body)
    async with running_supervisor([part]) as it:
        await it.supervisor.start()
        (sleeper,) = psutil.Process(it.pid("a")).children()
        await it.supervisor.stop()
        await wait_until("the child process has ended", lambda: not psutil.pid_exists(sleeper.pid))


async def test_processes_run_in_their_own_session() -> None:
    async with running_supervisor([script("a", WAITS)]) as it:
        await it.supervisor.start()
        pid = it.pid("a")
        assert os.getsid(pid) == pid != os.getsid(0)


async def test_a_process_with_a_probe_is_ready_when_the_probe_succeeds() -> None:
    is_probed = asyncio.Event()
    part = script("a", "time.sleep(600)", readiness_probe=is_probed.wait)
    async with running_supervisor([part]) as it:
        starting = asyncio.create_task(it.supervisor.start())
        await wait_until("a runs", lambda: it.pid("a"))
        assert it.supervisor.ready_names == []
        is_probed.set()
        await starting
        assert it.supervisor.ready_names == ["a"]


async def test_a_probe_that_raises_start_failed_ends_the_start() -> None:
    async def probe() -> None:
        raise StartFailed("it is too old")

    async with running_supervisor([script("a", "time.sleep(600)", readiness_probe=probe)]) as it:
        with pytest.raises(StartFailed, match="it is too old"):
            await it.supervisor.start()
        await wait_until("the process has ended", lambda: it.supervisor.pids == {})


async def test_a_failed_probe_is_repeated_with_a_new_process() -> None:
    tries = 0

    async def probe() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ValueError("its streams are odd")

    async with running_supervisor([script("a", "time.sleep(600)", readiness_probe=probe)]) as it:
        await it.supervisor.start()
        assert "a was started, but its streams are odd" in it.console.messages


async def test_output_lines_are_complete_up_to_the_last_one_of_a_dead_process() -> None:
    body = """
sys.stdout.write("to stdout\\n"); sys.stdout.flush()
os.write(2, b"in "); time.sleep(0.05); os.write(2, b"pieces\\nno \\xff text\\n" + b"x" * 200_000)
os.write(2, b"\\nlast words"); os.kill(os.getpid(), 9)
"""
    async with running_supervisor(
        [script("a", body)], pace=RestartPolicy(max_failed_starts=1)
    ) as it:
        with pytest.raises(StartFailed, match="was killed by SIGKILL"):
            await it.supervisor.start()
        texts = [text for _, text in it.console.lines]
        assert texts[:3] == ["to stdout", "in pieces", "no \N{REPLACEMENT CHARACTER} text"]
        assert texts[-1] == "last words"
        assert "".join(texts[3:-1]) == "x" * 200_000


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux is asked to do it")
async def test_processes_die_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    """This includes a suspended process, which handles no signal other than SIGKILL."""
    pid_file = tmp_path / "pid"
    parent = f"""
import asyncio, os, signal, sys
from tapewire.cli.up.child_process import ChildProcess, ProcessSpec
async def main():
    argv = (sys.executable, "-I", "-S", "-c", {PRELUDE + WAITS!r})
    child = await ChildProcess.start(ProcessSpec(name="a", argv=argv, env={{}}), print)
    await child.wait_ready()
    os.kill(child.pid, signal.SIGSTOP)
    open({str(pid_file)!r}, "w").write(f"{{child.pid}}\\n")
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", parent)
    assert await process.wait() == -signal.SIGKILL
    pid = int(pid_file.read_text())
    await wait_until("the child process has ended", lambda: not _is_alive(pid))


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
