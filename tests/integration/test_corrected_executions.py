"""An operator busts and corrects executions on a whole platform: what users and operators see."""

import json
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.harness import fork_server
from tests.harness.stack import Stack

COMMAND_SECONDS = 90
WAIT_SECONDS = 90.0
SYMBOL = "IBM"


class Trader:
    """A user who trades over HTTP."""

    def __init__(self, stack: Stack, user: str) -> None:
        self.stack = stack
        self.user = user
        self.http = httpx.Client(
            base_url=stack.url, cookies=stack.sign_in(user), timeout=COMMAND_SECONDS
        )

    def get(self, path: str) -> Any:
        answer = self.http.get(path)
        answer.raise_for_status()
        return json.loads(answer.text, parse_float=Decimal)

    def buy(self, qty: str) -> str:
        """The id of the trade."""
        body = {"symbol": SYMBOL, "side": "buy", "type": "market", "qty": qty}
        answer = self.http.post("/api/orders", json=body)
        answer.raise_for_status()
        order_id = answer.json()["orderId"]

        def trades() -> list[str]:
            found = [one for one in self.get("/api/trades")["trades"] if one["orderId"] == order_id]
            is_filled = sum(one["qty"] for one in found) == Decimal(qty)
            return [one["tradeId"] for one in found] if is_filled else []

        return str(self.until(f"{qty} are bought", trades)[0])

    def position(self) -> dict[str, Any]:
        found = [p for p in self.get("/api/positions")["positions"] if p["symbol"] == SYMBOL]
        return dict(found[0]) if found else {"quantity": Decimal(0)}

    def until(self, what: str, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + WAIT_SECONDS
        while not (found := condition()):
            assert time.monotonic() < deadline, what
            time.sleep(0.1)
        return found

    def execute_command(self, *words: str) -> tuple[int, str]:
        command = ("execution", *words, "--nats", self.stack.nats_url)
        result = fork_server.run_cli(*command, timeout=COMMAND_SECONDS)
        return result.returncode, result.stdout + result.stderr


@pytest.fixture
def trader(stack: Stack) -> Iterator[Trader]:
    made = Trader(stack, f"corrected-{time.monotonic_ns()}")
    yield made
    made.http.close()


def test_a_busted_and_a_corrected_trade_are_as_if_they_had_always_been_so(trader: Trader) -> None:
    first, second = trader.buy("10"), trader.buy("4")
    trader.until("both are held", lambda: trader.position()["quantity"] == 14)
    cash = trader.get("/api/account")["cash"]
    [bought] = [one for one in trader.get("/api/trades")["trades"] if one["tradeId"] == first]

    code, printed = trader.execute_command("bust", "--trade", first)
    assert (code, "canceled, 0 of 10 filled" in printed) == (0, True), printed
    for again in (("bust",), ("bust", "--correction", "C-9"), ("correct", "--fee", "0")):
        code, printed = trader.execute_command(*again, "--trade", first)
        assert (code, "is busted already" in printed) == (2, True), printed
    trader.until("4 are left", lambda: trader.position()["quantity"] == 4)
    assert trader.position()["realizedPnL"] == 0
    assert trader.get("/api/account")["cash"] == cash + bought["price"] * 10

    words = ("correct", "--trade", second, "--qty", "3", "--price", "50.5", "--fee", "1")
    for _ in range(2):  # the second time it changes nothing
        code, printed = trader.execute_command(*words, "--correction", "C-1")
        assert (code, "3 of 4 filled at 50.5" in printed) == (0, True), printed
    trader.until("3 are left", lambda: trader.position()["quantity"] == 3)
    assert trader.position()["entryPrice"] == Decimal("50.5")
    assert trader.position()["realizedPnL"] == -1

    rows = trader.get("/api/trades")["trades"]
    corrected = [(one["tradeId"], one["qty"], one.get("before") is not None) for one in rows]
    assert corrected == [
        (second, 3, True),
        (first, 0, True),
        (second, 4, False),
        (first, 10, False),
    ]
    alerts = trader.until("two alerts", lambda: (trader.get("/api/alerts")["alerts"] * 2)[3:])
    assert any("busted an execution" in one["message"] for one in alerts)
    verified = fork_server.run_cli(
        "verify", "--user", trader.user, "--nats", trader.stack.nats_url, timeout=COMMAND_SECONDS
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("bust", "--trade", f"{'0' * 32}-1"), 2, "there is no order"),
        (("bust", "--order", "x"), 2, "name the execution by --trade"),
        (("bust",), 2, "name the execution by --trade"),
        (("correct", "--trade", "x-1"), 2, "say what is corrected"),
        (("correct", "--trade", "x-1", "--qty", "nan"), 2, "is no number"),
        (("correct", "--order", "x", "--execution", "E", "--price", "1"), 2, "there is no order"),
    ],
)
def test_what_cannot_be_corrected_is_said(
    trader: Trader, words: tuple[str, ...], code: int, text: str
) -> None:
    found, printed = trader.execute_command(*words)
    assert (found, text in printed) == (code, True), printed
