"""`tapewire tail` as used from a terminal, against a running stack."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness import fork_server
from tests.harness.stack import TAPEWIRE, Stack, StackFactory

QUICK = {"SSE_RETRY_MS": "100", "TAPEWIRE_DRAIN_SECONDS": "0"}


class Tail:
    """A running `tapewire tail`; `out` and `err` return its output so far."""

    def __init__(self, folder: Path, stack: Stack, args: tuple[str, ...]) -> None:
        self._stack = stack
        self._out, self._err = folder / "tail.out", folder / "tail.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = fork_server.start(
                fork_server.CLI,
                os.environ,
                out.fileno(),
                arguments=["tail", *args, "--url", stack.url],
                error_fd=err.fileno(),
            )

    def out(self) -> str:
        return self._out.read_text()

    def err(self) -> str:
        return self._err.read_text()

    def events(self) -> list[dict[str, Any]]:
        """Return the events printed so far, with `--json`."""
        whole, _, _ = self.out().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def wait_for(self, what: str, condition: Callable[[], object]) -> None:
        self._stack.wait_for(
            what, condition, describe_last=lambda: (self.out()[-500:], self.err()[-500:])
        )

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


StartTail = Callable[..., Tail]


@pytest.fixture
def tail(tmp_path: Path) -> Iterator[StartTail]:
    """Starts `tapewire tail` with the given arguments, and kills it after the test."""
    with contextlib.ExitStack() as ends:

        def start(stack: Stack, *args: str) -> Tail:
            folder = tmp_path / f"{len(os.listdir(tmp_path))}"  # noqa: PTH208
            folder.mkdir()
            started = Tail(folder, stack, args)
            ends.callback(started.process.wait)
            ends.callback(started.process.kill)
            return started

        yield start


def place_order(stack: Stack, cookies: httpx.Cookies, *, limit: float = 1) -> str:
    """Place a limit order far below the market, which stays open, and return its id."""
    body = {"symbol": "IBM", "side": "buy", "type": "limit", "limitPrice": limit, "qty": 5}
    placed = httpx.post(f"{stack.url}/api/orders", json=body, cookies=cookies, timeout=60)
    assert placed.status_code == 201, placed.text
    return str(placed.json()["orderId"])


def both(tail_process: Tail, order: str) -> bool:
    """Whether both events of a resting order are shown: placed and accepted."""
    return tail_process.out().count(order) == 2


def test_price_updates_are_shown_without_a_session(stack: Stack, tail: StartTail) -> None:
    running = tail(stack, "prices", "--symbols", "IBM,SPY")
    running.wait_for("prices are shown", lambda: running.out().count("\n") > 10)
    assert running.interrupt() == 0
    symbols = {line.split()[2] for line in running.out().splitlines()[3:-1]}
    assert symbols <= {"IBM", "SPY"}
    assert "\x1b" not in running.out()


def test_new_orders_of_the_user_are_shown(stack: Stack, tail: StartTail) -> None:
    stack.wait_until_healthy()
    running = tail(stack, "orders", "--user", "tess")
    running.wait_for("the stream is connected", lambda: "snapshot: 0 orders" in running.out())
    placed = place_order(stack, stack.sign_in("tess"))
    running.wait_for("the order is shown", lambda: placed in running.out())
    assert "@ 1 " in running.out()
    assert running.interrupt() == 0


def test_a_session_from_the_environment_is_used(
    stack: Stack, tail: StartTail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPEWIRE_SESSION", stack.sign_in("tina")["session"])
    running = tail(stack, "trading")
    running.wait_for("the stream is connected", lambda: "userId=tina" in running.out())
    assert running.interrupt() == 0


def test_tail_resumes_after_restarts_of_the_edge_without_loss(
    stack_factory: StackFactory, tail: StartTail
) -> None:
    stack = stack_factory(env=QUICK)
    running = tail(stack, "orders", "--user", "rita", "--json")
    running.wait_for("the stream is connected", lambda: "snapshot" in running.out())
    cookies = stack.sign_in("rita")
    placed = [place_order(stack, cookies)]
    running.wait_for("the order is shown, placed and accepted", lambda: both(running, placed[0]))
    for _ in range(2):
        dead = stack.kill("edge-0")
        stack.pid("edge-0", other_than=dead)
        placed.append(place_order(stack, cookies))
        running.wait_for(
            "the order is shown, placed and accepted", lambda: both(running, placed[-1])
        )
    assert running.interrupt() == 0

    updates = [event for event in running.events() if event["event"] == "order:update"]
    assert [event["data"].get("snapshot") for event in updates].count(True) == 1
    ids = [int(event["id"].rpartition("-")[2]) for event in updates]
    assert ids == sorted(set(ids))
    seen = [event["data"]["orderId"] for event in updates[1:]]
    assert seen == [order for order in placed for _ in ("placed", "accepted")]
    assert running.err().count("connecting again from") >= 2
    assert "connected again" in running.err()


def test_since_id_starts_after_the_given_event(stack: Stack, tail: StartTail) -> None:
    stack.wait_until_healthy()
    cookies = stack.sign_in("iris")
    first = tail(stack, "orders", "--user", "iris", "--json")
    first.wait_for("the stream is connected", lambda: "snapshot" in first.out())
    orders = [place_order(stack, cookies) for _ in range(2)]
    first.wait_for("all events are shown", lambda: both(first, orders[1]))
    after = next(
        event["id"] for event in first.events() if event["data"].get("orderId") == orders[0]
    )
    later = tail(stack, "orders", "--user", "iris", "--json", "--since-id", after)
    later.wait_for("the second order is shown", lambda: both(later, orders[1]))
    assert '"snapshot"' not in later.out()


def test_a_replay_shows_the_past_between_two_times_and_ends(stack: Stack, tail: StartTail) -> None:
    stack.wait_until_healthy()
    cookies = stack.sign_in("pia")
    first = tail(stack, "orders", "--user", "pia", "--json", "--since", "1h")
    orders = [place_order(stack, cookies) for _ in range(2)]
    first.wait_for("all events are shown", lambda: both(first, orders[1]))
    last_id = first.events()[-1]["id"]
    replay = tail(stack, "orders", "--user", "pia", "--json", "--since", "1h", "--until", last_id)
    assert replay.process.wait(60) == 0
    events = replay.events()
    assert events[-1]["event"] == "replay:complete"
    replayed = [one["data"]["orderId"] for one in events if "orderId" in one["data"]]
    assert replayed == [order for order in orders for _ in ("placed", "accepted")]
    assert replay.err() == ""


def test_a_replay_of_a_stream_without_ids_is_refused(stack: Stack, tail: StartTail) -> None:
    running = tail(stack, "prices", "--since", "15m")
    assert running.process.wait(60) == 1
    assert running.err().startswith("tapewire: refused: 422 ")


def test_an_invalid_since_id_is_reported_as_a_reset(stack: Stack, tail: StartTail) -> None:
    running = tail(stack, "orders", "--user", "rene", "--since-id", "elsewhere-5")
    running.wait_for("a snapshot follows", lambda: "snapshot: " in running.out())
    assert "stream:reset" in running.out()
    assert "elsewhere-5 cannot be resumed from" in running.out()


def test_a_protected_stream_without_a_session_explains_how_to_sign_in(
    stack: Stack, tail: StartTail
) -> None:
    running = tail(stack, "orders")
    assert running.process.wait(60) == 1
    assert running.err().startswith(
        f"tapewire: {stack.url}/api/stream/orders needs a session; sign in with"
    )


def test_an_unknown_stream_is_an_error(stack: Stack, tail: StartTail) -> None:
    running = tail(stack, "ordres")
    assert running.process.wait(60) == 1
    assert f"there is no stream {stack.url}/api/stream/ordres: 404" in running.err()


def test_tail_exits_with_code_0_when_its_output_is_closed(stack: Stack) -> None:
    command = f"{' '.join(TAPEWIRE)} tail prices --url {stack.url}"
    both = subprocess.run(
        ["/bin/bash", "-c", f"{command} | head -n 2; echo ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert both.stdout.splitlines()[-1] == "0"
    assert both.stderr == ""


def test_tapewire_run_starts_a_service_by_name(stack: Stack, tmp_path: Path) -> None:
    ready, saying = os.pipe()
    env = {
        **os.environ,
        "TAPEWIRE_NATS_URL": f"nats://{stack.nats_url.rpartition('@')[2]}",
        "TAPEWIRE_NATS_USER": "orders",
        "TAPEWIRE_NATS_PASSWORD_FILE": str(stack.data_dir / "nats" / "orders"),
        "TAPEWIRE_READY_FD": str(saying),
    }
    with (tmp_path / "log").open("wb") as log:
        service = subprocess.Popen(
            [*TAPEWIRE, "run", "orders"], env=env, pass_fds=(saying,), stderr=log
        )
    os.close(saying)
    with os.fdopen(ready, "rb") as pipe:
        assert pipe.readline() == b"ready\n", (tmp_path / "log").read_text()
    service.terminate()
    assert service.wait(60) == 0


def test_provision_can_be_repeated(stack: Stack) -> None:
    for _ in range(2):
        done = fork_server.run_cli("provision", "--nats", stack.nats_url, timeout=60)
        done.check_returncode()
        assert done.stdout.startswith(("as configured: EVENTS", "nothing to do"))
