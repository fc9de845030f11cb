"""`tapewire top` at a terminal: its keys, its panes, and what it shows while the server is away."""

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.harness.nats_servers import LocalNatsServer
from tests.harness.provisioning import run_command
from tests.harness.stack import Stack
from tests.harness.terminal import tapewire_at_terminal


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalNatsServer]:
    made = LocalNatsServer(tmp_path, provisioned=True)
    made.start()
    yield made
    made.close()


def test_one_frame_for_a_pipe_has_all_panes(stack: Stack) -> None:
    stack.wait_until_healthy()
    cookies = stack.sign_in("toni")
    body = {"symbol": "IBM", "side": "buy", "type": "market", "qty": 1}
    httpx.post(f"{stack.url}/api/orders", json=body, cookies=cookies).raise_for_status()
    with httpx.stream("GET", f"{stack.url}/api/stream/orders", cookies=cookies) as stream:
        lines = stream.iter_lines()
        next(lines)
        code, output = run_command("top", "--once", "--data-dir", str(stack.data_dir))
    assert code == 0, output
    for expected in (
        str(stack.data_dir),
        "1 Services",
        "strategies",
        "/api/stream/orders",
        "toni",
        "ev.*.trades.>",
        "no event is parked",
        "fresh: the last quote",
        "days left",
    ):
        assert expected in output, output
    assert "\x1b" not in output


@pytest.mark.slow
def test_keys_choose_the_pane_and_its_order_and_quit(stack: Stack) -> None:
    stack.wait_until_healthy()
    arguments = ("top", "--interval", "0.5", "--data-dir", str(stack.data_dir))
    with tapewire_at_terminal(*arguments, COLUMNS="80", LINES="24") as terminal:
        terminal.wait_for("1 Services, by service", "strategies", "q quit")
        terminal.type("2")
        terminal.wait_for("2 Clients")
        terminal.type("\t")
        terminal.wait_for("3 Progress", "ev.*.trades.>")
        terminal.type("s")
        terminal.wait_for(", by busy")
        terminal.type("\x1b[A")  # an arrow means nothing
        terminal.wait_for("3 Progress")
        terminal.type(" ")
        terminal.wait_for("(paused)")
        terminal.type("1")
        terminal.resize(160, 40)
        terminal.signal(signal.SIGWINCH)
        terminal.wait_for("1 Services", "2 Clients")
        assert terminal.modes_now() != terminal.modes
        terminal.type("q")
        assert terminal.wait_exited() == 0
        assert terminal.modes_now() == terminal.modes
        assert b"\x1b[?1049l" in terminal.raw(), "the screen of before is back"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_restores_the_terminal(server: LocalNatsServer, number: signal.Signals) -> None:
    with tapewire_at_terminal("top", "--nats", server.url) as terminal:
        terminal.wait_for("no service has reported its state")
        terminal.signal(number)
        assert terminal.wait_exited() == 0
        assert terminal.modes_now() == terminal.modes


@pytest.mark.slow
def test_a_server_that_is_restarted_is_reported_and_found_again(server: LocalNatsServer) -> None:
    with tapewire_at_terminal("top", "--interval", "0.5", "--nats", server.url) as terminal:
        terminal.wait_for("no service has reported its state", "name the edge, too: --url URL")
        server.kill()
        terminal.forget()
        terminal.wait_for("NATS does not answer, these figures are")
        server.start()
        terminal.forget()
        terminal.wait_for_frame("journal   0 events", without="NATS does not answer")
        terminal.type("q")
        assert terminal.wait_exited() == 0


def test_without_a_terminal_it_asks_for_a_single_frame(server: LocalNatsServer) -> None:
    code, output = run_command("top", "--nats", server.url)
    assert code == 2
    assert "use --once" in output


def test_colours_can_be_switched_off(server: LocalNatsServer) -> None:
    with tapewire_at_terminal("top", "--nats", server.url, NO_COLOR="1") as terminal:
        terminal.wait_for("no service has reported its state")
        assert b"\x1b[36m" not in terminal.raw()
    with tapewire_at_terminal("top", "--nats", server.url) as terminal:
        terminal.wait_for("no service has reported its state")
        assert b"\x1b[36m" in terminal.raw()
