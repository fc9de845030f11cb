"""The journal of `tapewire up`: what programs without a user may do to it, and what a loss of it
does."""

import shutil
import time
from decimal import Decimal

import httpx
import pytest

import tapewire
from tapewire import contracts
from tapewire.events import OrderType, Side
from tapewire.log import CommandRejected
from tapewire.log.jetstream import NotPermitted, connect
from tests.harness.fork_server import run_cli
from tests.harness.stack import Stack, StackFactory
from tests.harness.waiting import wait_until_async

SECONDS = 90.0
"""Timeout for slow or busy machines."""


def anonymous_url(stack: Stack) -> str:
    """The message server's URL, without a user."""
    return f"nats://{stack.nats_url.rpartition('@')[2]}"


async def test_a_program_without_a_user_publishes_and_asks(stack: Stack) -> None:
    stack.wait_until_healthy()
    async with tapewire.connect(anonymous_url(stack), "notebook") as client:
        await client.price("FUND1", 100, bid=99, ask=101, bid_size=10, ask_size=10)
        receipt = await client.alert(user="nora", message="hello")
        assert not receipt.is_duplicate
        order = contracts.orders.PlaceOrder(
            user_id="nora", symbol="FUND1", side=Side.BUY, type=OrderType.MARKET, qty=Decimal(1)
        )

        async def placed() -> str | None:
            try:
                return (await client.request(contracts.orders.PLACE_ORDER, order)).order.symbol
            except CommandRejected as rejection:
                # A service reads quotes a little later than they are stored.
                if rejection.path == "symbol":
                    return None
                raise

        await wait_until_async("the order is placed", placed)


@pytest.mark.parametrize(
    "subject",
    [
        "ev.nora.trades.t-1",
        "ev.nora.orders.o-1",
        "ev.nora.positions.IBM",
        "$KV.sessions.forged",
        "$KV.leases.paper-broker",
        "view._all.book",
        "$JS.API.STREAM.DELETE.EVENTS",
        "$JS.API.STREAM.PURGE.EVENTS",
        "$JS.API.CONSUMER.CREATE.EVENTS",
    ],
)
async def test_a_program_without_a_user_forges_nothing(stack: Stack, subject: str) -> None:
    stack.wait_until_healthy()
    connection = await connect(anonymous_url(stack), "forger")
    try:
        with pytest.raises(NotPermitted):
            await connection.request(subject, b"{}")
    finally:
        await connection.close()


def test_a_command_without_the_right_ends_at_once_and_names_the_cure(stack: Stack) -> None:
    stack.wait_until_healthy()
    began = time.monotonic()
    done = run_cli("provision", "--nats", anonymous_url(stack), timeout=SECONDS)
    assert done.returncode == 2
    assert "admin (TAPEWIRE_NATS_USER" in done.stderr
    assert time.monotonic() - began < 20, "it does not try for the 30 s that a server may take"


def test_a_lost_journal_is_held_until_a_person_accepts_the_loss(
    stack_factory: StackFactory,
) -> None:
    first = stack_factory()
    cookies = first.sign_in("case-lost")
    order = {"symbol": "IBM", "side": "buy", "type": "limit", "limitPrice": 1, "qty": 5}
    placed = httpx.post(f"{first.url}/api/orders", json=order, cookies=cookies, timeout=SECONDS)
    assert placed.status_code == 201
    assert first.stop() == 0
    shutil.rmtree(first.data_dir / "jetstream" / "jetstream" / "JETSTREAM" / "streams" / "EVENTS")

    second = stack_factory(folder=first.data_dir.parent)
    answer = httpx.post(f"{second.url}/api/orders", json=order, cookies=cookies, timeout=SECONDS)
    assert answer.status_code == 503
    assert "there is no stream EVENTS" in answer.json()["message"]
    status = run_cli("status", "--nats", second.nats_url, timeout=SECONDS)
    assert "there is no stream EVENTS" in status.stdout + status.stderr

    accepted = run_cli("journal", "accept-loss", "--nats", second.nats_url, timeout=SECONDS)
    assert accepted.returncode == 0, accepted.stderr

    def is_placed() -> bool:
        answer = httpx.post(
            f"{second.url}/api/orders", json=order, cookies=cookies, timeout=SECONDS
        )
        return answer.status_code == 201

    second.wait_for("orders are placed again", is_placed)
