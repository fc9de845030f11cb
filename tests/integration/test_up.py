"""`tapewire up` as used from a terminal: start, inspect, kill, stop."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tapewire.cli.up.data_dir import DEFAULT_DATA_DIR
from tapewire.log.jetstream import JetStreamEventLog, connect
from tapewire.log.jetstream.provisioning import provision_when_available
from tests.harness.secured_nats import plain_server
from tests.harness.stack import Stack, StackFactory

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
SECONDS = 90.0
"""Timeout for slow or busy machines."""
NAMES = {"nats", "prices", "orders", "positions", "strategies", "alerts", "insights", "edge-0"}


def order(stack: Stack, cookies: httpx.Cookies, **fields: Any) -> httpx.Response:
    body = {"symbol": "IBM", "side": "buy", "type": "limit", "limitPrice": 1, "qty": 5, **fields}
    return httpx.post(f"{stack.url}/api/orders", json=body, cookies=cookies, timeout=SECONDS)


def test_up_prints_one_line_with_its_url_when_ready(stack: Stack) -> None:
    assert stack.stdout_text() == f"ready {stack.url}\n"
    stack.wait_until_healthy()  # another test may have killed something
    assert httpx.get(f"{stack.url}/health/ready", timeout=SECONDS).status_code == 200


def test_run_json_lists_every_process(stack: Stack) -> None:
    for name in NAMES:
        stack.pid(name)  # another test may have killed it
    run = stack.read_run_file()
    assert set(run["pids"]) == NAMES
    assert set(run["ready"]) == NAMES
    assert run["pid"] == stack.process.pid
    children = {child.pid for child in psutil.Process(run["pid"]).children()}
    assert children == set(run["pids"].values())


def test_commands_find_the_stack_of_their_directory(stack: Stack, tmp_path: Path) -> None:
    """Commands without options find a stack that was started in the same directory."""
    (tmp_path / DEFAULT_DATA_DIR).symlink_to(stack.data_dir, target_is_directory=True)
    env = {name: value for name, value in os.environ.items() if name != "TAPEWIRE_NATS_URL"}
    command = str(Path(sys.executable).parent / "tapewire")

    def run(*args: str, cwd: Path = tmp_path, **more: str) -> tuple[int, str]:
        done = subprocess.run(
            [command, *args],
            cwd=cwd,
            env=env | more,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    stack.wait_until_healthy()
    code, out = run("status")
    assert code == 0, out
    assert all(name in out for name in NAMES - {"nats", "edge-0"})
    code, out = run("notify", "--user", "olga", "--title", "Found")
    assert code == 0, out
    code, out = run("status", TAPEWIRE_NATS_URL="nats://127.0.0.1:1", TAPEWIRE_NATS_WAIT="0.1")
    assert (code, "nats://127.0.0.1:1" in out) == (3, True), (
        "the environment variable does not take precedence"
    )


def test_commands_in_another_directory_find_the_stack_by_its_data_directory(
    stack: Stack, tmp_path: Path
) -> None:
    """They are told how, and the explicit address is the data directory."""
    command = str(Path(sys.executable).parent / "tapewire")
    plain = {key: value for key, value in os.environ.items() if not key.startswith("TAPEWIRE_")}

    def run(*args: str) -> tuple[int, str]:
        done = subprocess.run(
            [command, *args],
            cwd=tmp_path,
            env=plain,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    stack.wait_until_healthy()
    address = ("--data-dir", str(stack.data_dir))
    code, out = run("status", *address)
    assert code == 0, out
    assert all(name in out for name in NAMES - {"nats", "edge-0"})
    code, out = run("notify", "--user", "olga", "--title", "Found", *address)
    assert code == 0, out
    code, out = run("journal", "status", *address)
    assert code == 0, out
    code, out = run("status", "--data-dir", str(tmp_path))
    assert code == 3, out
    assert f"--data-dir {stack.data_dir.resolve()} ({stack.url})" in out


@pytest.mark.parametrize("name", ["orders", "prices", "edge-0", "nats"])
def test_a_killed_process_is_restarted_and_logged(stack: Stack, name: str) -> None:
    dead = stack.kill(name)
    stack.pid(name, other_than=dead)
    stack.wait_until_healthy()
    # Between the two may stand an error that the process had logged.
    assert re.search(f"{name} was killed by SIGKILL.*; starting it again in", stack.log_text())
    assert f"{name} is ready again" in stack.log_text()
    assert stack.read_run_file()["pid"] == stack.process.pid


def test_a_killed_nats_server_restarts_at_its_address_with_its_data(stack: Stack) -> None:
    stack.wait_until_healthy()
    before, cookies = stack.nats_url, stack.sign_in("naomi")
    placed = order(stack, cookies).json()["orderId"]
    stack.pid("nats", other_than=stack.kill("nats"))
    assert stack.nats_url == before

    def found() -> bool:
        # The edge answers 503 until the services have reconnected.
        response = httpx.get(f"{stack.url}/api/orders/{placed}", cookies=cookies, timeout=SECONDS)
        return response.status_code == 200

    stack.wait_for("the order is stored", found)


def test_new_quotes_are_stored_after_the_nats_server_was_killed(stack: Stack) -> None:
    """Quotes are stored in the server's memory, so a kill loses them and their stream."""
    stack.pid("nats", other_than=stack.kill("nats"))

    stack.wait_until_healthy()
    came_back = datetime.now(UTC)

    def newest() -> datetime:
        response = httpx.get(f"{stack.url}/api/prices?symbols=SPY", timeout=SECONDS)
        prices = response.json()["prices"] if response.status_code == 200 else []
        return datetime.fromisoformat(prices[0]["timestamp"]) if prices else LONG_AGO

    stack.wait_for("there are newer quotes", lambda: newest() > came_back, describe_last=newest)


def test_connections_are_accepted_while_the_edge_restarts(stack: Stack) -> None:
    stack.kill("edge-0")
    assert httpx.get(f"{stack.url}/health/live", timeout=SECONDS).status_code == 200


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_console_lines_name_their_process_and_suggested_commands_work(
    stack_factory: StackFactory,
) -> None:
    stack = stack_factory(env={"TAPEWIRE_LOG_FORMAT": "console"}, fork=False)
    assert re.search(r"^up +\| nats is ready$", stack.log_text(), re.M)
    stack.wait_for(
        "a log line names the edge",
        lambda: re.search(r"^edge-0 +\| ", stack.log_text(), re.M),
    )
    stack.wait_for("the suggested commands are printed", lambda: "Ctrl-C" in stack.log_text())
    tries = dict(re.findall(r"^  (sign in|order) +(curl .*)$", stack.log_text(), re.M))
    for name, field in (("sign in", '"userId":"alice"'), ("order", '"symbol":"IBM"')):
        done = subprocess.run(
            ["/bin/sh", "-c", tries[name]], capture_output=True, text=True, check=True, timeout=60
        )
        assert field in done.stdout


def assert_stopped_in_reverse_order(stack: Stack) -> None:
    text = '"event": "service.stopping"'
    lines = [line for line in stack.log_text().splitlines() if text in line]
    first, *together, then, last = (line.split('"service": "')[1].split('"')[0] for line in lines)
    assert (first, then, last) == ("edge", "orders", "prices")
    assert set(together) == NAMES - {"nats", "edge-0", "orders", "prices"}
    assert not (stack.data_dir / "run.json").exists()
    assert "killed" not in stack.log_text()


def test_a_second_signal_kills_all_processes(stack_factory: StackFactory) -> None:
    """A regular stop would wait for the drain of an hour."""
    stack = stack_factory(env={"TAPEWIRE_DRAIN_SECONDS": "3600"})
    prices = f"{stack.url}/api/stream/prices"

    def killed() -> bool:
        if "SIGINT again: killing everything" in stack.log_text():
            return True
        stack.send_signal(signal.SIGINT)
        return False

    with httpx.stream("GET", prices), httpx.stream("GET", prices):  # a drain that takes its time
        stack.wait_for("up kills its processes", killed)
        assert stack.process.wait(SECONDS) == 1


def test_a_signal_during_the_start_stops_up(stack_factory: StackFactory, tmp_path: Path) -> None:
    """No service becomes ready, because Python sleeps for an hour when it starts one."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, time\n"
        "if any('tapewire_services' in argument for argument in sys.orig_argv): time.sleep(3600)\n"
    )
    stack = stack_factory(env={"PYTHONPATH": str(tmp_path)}, wait=False, fork=False)
    stack.wait_for("the first process runs", lambda: (stack.data_dir / "run.json").exists())
    assert stack.stop(signal.SIGINT) == 0
    assert stack.stdout_text() == ""


def test_killing_up_ends_its_processes_and_frees_the_directory(
    stack_factory: StackFactory,
) -> None:
    stack = stack_factory()
    stack.kill("orders", signal.SIGSTOP)
    stack.send_signal(signal.SIGKILL)
    stack.process.wait()
    stack.wait_for(
        "all its processes have ended",
        lambda: not stack.living_processes(),
        describe_last=stack.living_processes,
    )
    again = stack_factory(folder=stack.data_dir.parent, wait=False)
    again.wait_for(
        "another up runs in the same directory", lambda: (again.data_dir / "run.json").exists()
    )


def test_a_signal_stops_all_in_reverse_order_and_the_next_run_has_the_data(
    stack_factory: StackFactory,
) -> None:
    """Two signals stop the second run at the same time. `timeout 60 make run` does this: it signals
    `up` and its process group within milliseconds. That used to kill all processes instead of
    stopping them. The test uses two signal numbers, because a pending signal counts only once."""
    first = stack_factory(env={"TAPEWIRE_DRAIN_SECONDS": "0"})
    cookies = first.sign_in("paula")
    placed = order(first, cookies).json()["orderId"]
    assert first.stop(signal.SIGINT) == 0
    assert_stopped_in_reverse_order(first)

    second = stack_factory(folder=first.data_dir.parent)
    found = httpx.get(f"{second.url}/api/orders/{placed}", cookies=cookies, timeout=SECONDS)
    assert found.status_code == 200
    second.send_signal(signal.SIGSTOP)
    second.send_signal(signal.SIGTERM)
    second.send_signal(signal.SIGHUP)
    assert second.stop(signal.SIGCONT) == 0
    assert "killing everything" not in second.log_text()


def test_workers_share_the_port_and_a_frozen_process_is_stopped(
    stack_factory: StackFactory,
) -> None:
    stack = stack_factory(workers=2)
    assert {"edge-0", "edge-1"} <= set(stack.pids())
    stopped = psutil.Process(stack.kill("edge-0", signal.SIGSTOP))
    stack.wait_for(
        "the edge is stopped by SIGSTOP", lambda: stopped.status() == psutil.STATUS_STOPPED
    )
    # Only the other process can accept the connection.
    assert httpx.get(f"{stack.url}/health/live", timeout=SECONDS).status_code == 200
    stack.kill("prices", signal.SIGSTOP)
    assert stack.stop(signal.SIGTERM) == 0


def test_up_can_use_a_running_nats_server(stack_factory: StackFactory, tmp_path: Path) -> None:
    with plain_server(tmp_path, "") as url:
        stack = stack_factory(nats=url)
        assert set(stack.pids()) == NAMES - {"nats"}
        assert stack.nats_url == url
        stack.wait_until_healthy()
        cookies = stack.sign_in("olga")
        placed = order(stack, cookies).json()["orderId"]
        found = httpx.get(f"{stack.url}/api/orders/{placed}", cookies=cookies, timeout=SECONDS)
        assert found.status_code == 200
        assert stack.stop(signal.SIGTERM) == 0


def test_sign_in_can_be_disabled_and_sighup_stops_all(
    stack_factory: StackFactory,
) -> None:
    stack = stack_factory(sign_in=False, env={"TAPEWIRE_DRAIN_SECONDS": "0"})
    response = httpx.post(f"{stack.url}/api/session", json={"userId": "alice"}, timeout=SECONDS)
    assert response.status_code in (403, 404)
    assert stack.stop(signal.SIGHUP) == 0
    assert_stopped_in_reverse_order(stack)


def test_a_used_port_is_an_error_before_any_process_starts(
    stack_factory: StackFactory,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        stack = stack_factory(port=port, wait=False)
        assert stack.process.wait(SECONDS) == 2
    assert stack.log_text() == (
        f"tapewire: port {port} of 127.0.0.1 cannot be had: Address already in use; "
        "choose another: --port N (0: a free one)\n"
    )


def test_a_data_directory_is_used_by_one_up_at_a_time(
    stack: Stack, stack_factory: StackFactory
) -> None:
    second = stack_factory(folder=stack.data_dir.parent.parent / "other", wait=False,
                           args=["--data-dir", str(stack.data_dir)])  # fmt: skip
    assert second.process.wait(SECONDS) == 2
    assert f"in use by another tapewire up (pid {stack.process.pid})" in second.log_text()
    assert set(stack.pids()) == NAMES


def test_a_missing_nats_server_is_an_error(stack_factory: StackFactory) -> None:
    stack = stack_factory(nats="nats://127.0.0.1:9", env={"TAPEWIRE_NATS_WAIT": "0.3"}, wait=False)
    assert stack.process.wait(SECONDS) == 3
    assert "no NATS server answers at nats://127.0.0.1:9" in stack.log_text()


def test_an_invalid_feed_file_ends_the_start(stack_factory: StackFactory, tmp_path: Path) -> None:
    feed = tmp_path / "shopping.csv"
    feed.write_text("apples,pears\n1,2\n")
    stack = stack_factory(feed=feed, wait=False)
    assert stack.process.wait(60) == 2
    assert "shopping.csv" in stack.log_text()


async def test_the_journal_of_a_version_without_accounts_is_kept(
    stack_factory: StackFactory, tmp_path: Path
) -> None:
    """NATS keeps streams in a folder named after their account. An upgrade must not begin with an
    empty journal beside the old one."""
    data = tmp_path / "data"
    head = f"jetstream {{ store_dir: {json.dumps(str(data / 'jetstream'))} }}"
    with plain_server(tmp_path, head, jetstream=False) as url:
        connection = await connect(url, "earlier")
        await provision_when_available(connection, wait_seconds=60, replicas=1)
        answer = await connection.request("ev.alice.reports.r-1", b"{}", {"Tw-Type": "earlier.v1"})
        assert json.loads(answer.data)["seq"] == 1
        before = await JetStreamEventLog(connection).bounds()
        await connection.close()
    stack = await asyncio.to_thread(lambda: stack_factory(folder=tmp_path))
    connection = await connect(stack.nats_url, "later")
    log = JetStreamEventLog(connection)
    assert (await log.bounds()).epoch.startswith(before.epoch)
    (first,) = (await log.page("ev.alice.>", after=0)).events
    assert (first.sequence, first.tag) == (1, "earlier.v1")
    await connection.close()


def test_passwords_are_made_once_and_readable_by_their_owner_alone(
    stack_factory: StackFactory, tmp_path: Path
) -> None:
    stack = stack_factory(folder=tmp_path)
    files = [*(stack.data_dir / "nats").iterdir(), stack.data_dir / "run.json",
             stack.data_dir / "nats.conf"]  # fmt: skip
    assert {path.name for path in files} > {"admin", "operator", "orders", "edge"}
    assert {path.stat().st_mode & 0o077 for path in files} == {0}
    passwords = {path.name: path.read_text() for path in files[:-2]}
    assert len(set(passwords.values())) == len(passwords)
    printed = stack.log_text() + stack.stdout_text()
    assert [name for name, text in passwords.items() if text.strip() in printed] == []
    stack.stop()
    again = stack_factory(folder=tmp_path)
    remaining = {path.name: path.read_text() for path in (again.data_dir / "nats").iterdir()}
    assert remaining == passwords
