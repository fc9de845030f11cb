"""Runs each program of `examples/` as a user does: as a process, against a running Tapewire that
has the event types of the example package."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tapewire.log import Unavailable, pattern
from tapewire.log.jetstream import JetStreamEventLog, connect
from tests.harness import sse
from tests.harness.stack import Stack, stacks

EXAMPLES = Path(__file__).parents[2] / "examples"
PYTHON_PATH = os.pathsep.join([str(EXAMPLES / "loans"), os.environ.get("PYTHONPATH", "")])
LOANS = {"TAPEWIRE_EVENT_PACKAGES": "loans", "PYTHONPATH": PYTHON_PATH.rstrip(os.pathsep)}
RUN_SECONDS = 90


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stacks(lambda: tmp_path_factory.mktemp("stack")) as start:
        yield start(env=LOANS)


def program(stack: Stack, *command: str) -> "subprocess.Popen[str]":
    """Start an example. Those of the package `loans` run as its own user of NATS."""
    url = loans_url(stack) if command[-1].startswith("loans.") else stack.nats_url
    return subprocess.Popen(
        [sys.executable, "-u", *command],
        env={
            **os.environ,
            "TAPEWIRE_NATS_URL": url,
            "TAPEWIRE_URL": stack.url,
            "PYTHONPATH": LOANS["PYTHONPATH"],
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def loans_url(stack: Stack) -> str:
    """The URL of NATS for the user that the package `loans` declares."""
    password = (stack.data_dir / "nats" / "loans").read_text().strip()
    return f"nats://loans:{password}@{stack.nats_url.rpartition('@')[2]}"


def ran(stack: Stack, *command: str) -> str:
    """Run an example, check that it succeeds without error output, and return its output."""
    running = program(stack, *command)
    try:
        out, errors = running.communicate(timeout=RUN_SECONDS)
    finally:
        running.kill()
        running.wait()
    assert (running.returncode, errors) == (0, "")
    return out


def events(stack: Stack, user: str, domain: str) -> list[Any]:
    """Return the user's events of a domain."""

    async def read() -> list[Any]:
        connection = await connect(stack.nats_url, "test")
        try:
            page = await JetStreamEventLog(connection).page(
                pattern(owner=user, domain=domain), after=0
            )
            return page.events
        finally:
            await connection.close()

    return asyncio.run(read())


def notifications(stack: Stack, user: str) -> list[str]:
    return [one.event.notification.title for one in events(stack, user, "notifications")]


def test_the_example_report_trading_records_its_events(stack: Stack) -> None:
    out = ran(stack, str(EXAMPLES / "report_trading.py"))
    assert out.startswith("reported; the last event is ")
    reports = [one for one in events(stack, "alice", "reports") if "mom-7" in one.subject]
    assert [one.tag for one in reports] == [
        "report.strategy_started.v1",
        "report.order_executed.v1",
        "report.strategy_updated.v1",
        "report.stop_loss_triggered.v1",
        "report.strategy_stopped.v1",
    ]
    stack.wait_for(
        "alice is notified of the stop-loss",
        lambda: "Stop-loss triggered" in notifications(stack, "alice"),
        describe_last=lambda: notifications(stack, "alice"),
    )

    def read_prices() -> list[tuple[float, float]]:
        response = httpx.get(f"{stack.url}/api/prices?symbols=ACME", timeout=RUN_SECONDS)
        return [(one["price"], one["change"]) for one in response.json()["prices"]]

    stack.wait_for(
        "the edge has the price", lambda: read_prices() == [(99.4, -0.6)], describe_last=read_prices
    )


def test_the_examples_alert_on_fills_and_place_an_order_work_together(stack: Stack) -> None:
    reacting = program(stack, str(EXAMPLES / "alert_on_fills.py"), "1")
    try:
        assert reacting.stdout is not None
        assert reacting.stdout.readline() == "subscribed\n"
        placed, filled, refused = ran(stack, str(EXAMPLES / "place_an_order.py")).splitlines()
        assert placed == "placed buy 10 IBM"
        assert filled == "filled: 10 shares"
        assert refused == "refused: not_found, there is no such order"

        cookies = stack.sign_in("bob")
        order = {"symbol": "IBM", "side": "buy", "type": "market", "qty": 250}
        httpx.post(
            f"{stack.url}/api/orders", json=order, cookies=cookies, timeout=RUN_SECONDS
        ).raise_for_status()
        output, errors = reacting.communicate(timeout=RUN_SECONDS)
    finally:
        reacting.kill()
        reacting.wait()
    assert (reacting.returncode, errors) == (0, "")
    assert output.startswith("alerted: buy ")
    [alert] = [one.event for one in events(stack, "bob", "alerts")][:1]
    assert output == f"alerted: {alert.message}\n"


def test_the_example_read_a_stream_prints_an_execution(stack: Stack) -> None:
    stack.wait_until_healthy()
    order = {"symbol": "IBM", "side": "buy", "type": "market", "qty": 30}
    httpx.post(
        f"{stack.url}/api/orders", json=order, cookies=stack.sign_in("cora"), timeout=RUN_SECONDS
    ).raise_for_status()
    out = ran(stack, str(EXAMPLES / "read_a_stream.py"), "cora")
    assert re.fullmatch(r"buy [0-9]+ IBM at [0-9.]+\n", out), out


def is_notified(stack: Stack, user: str, title: str) -> bool:
    return title in notifications(stack, user)


def test_the_example_from_a_script_reports_an_error_and_notifies(stack: Stack) -> None:
    out = ran(stack, str(EXAMPLES / "from_a_script.py"))
    assert out == "refused: price=nan: must be a finite number\nchecked\n"
    [error] = [one for one in events(stack, "alice", "reports") if one.tag == "report.error.v1"]
    assert error.event.error_code == "late_data"
    assert error.metadata.correlation == "nightly-2026-03-02"
    for user in ("alice", "bob"):
        stack.wait_for(
            f"{user} is notified",
            partial(is_notified, stack, user, "The nightly check"),
            describe_last=partial(notifications, stack, user),
        )
    [recorded] = [
        one
        for one in events(stack, "bob", "notifications")
        if one.event.notification.title == "The nightly check"
    ]
    assert recorded.metadata.correlation == "nightly-2026-03-02"


async def test_event_types_of_another_package_are_streamed(stack: Stack) -> None:
    cookie = (await asyncio.to_thread(stack.sign_in, "alice"))["session"]
    stream = await sse.open_stream(stack.url, "/api/stream/trading", cookie=cookie)
    assert await asyncio.to_thread(ran, stack, "-m", "loans.lend") == "lent 2500.00\n"

    made = await stream.read_until("loan:made")
    frames = stream.frames
    assert (made.data["loanId"], made.data["amount"], made.data["percent"]) == ("l-1", 2500, 5.25)
    assert made.id is not None
    if not any(frame.event == "loan:rate" for frame in frames):
        await stream.read_until("loan:rate")
    [rate] = [frame for frame in frames if frame.event == "loan:rate"]
    assert (rate.data["kind"], rate.data["percent"], rate.id) == ("margin", 5.25, None)
    await stream.close()

    out = await asyncio.to_thread(ran, stack, "-m", "loans.lend")
    assert out == "lent 2500.00, as before\n"


async def test_a_program_of_another_package_may_write_only_what_it_declares(stack: Stack) -> None:
    connection = await connect(loans_url(stack), "test")
    for subject in ("ev.alice.orders.o-1", "ev.alice.trades.t-1", "px.IBM", "svc.orders.place"):
        with pytest.raises(Unavailable, match="to this user"):
            await connection.request(subject, b"{}")
    await connection.close()


def test_every_example_is_tested() -> None:
    tested = Path(__file__).read_text()
    programs = {path.name for path in EXAMPLES.glob("*.py")}
    assert {name for name in programs if name not in tested} == set()
    assert len(programs) == 5
