"""`tapewire verify` on a real system: it finds no difference after trading, finds an altered
checkpoint, and reports a missing NATS server.
"""

import asyncio
import json
import os
import signal
from decimal import Decimal
from functools import partial

import msgspec
import psutil

from tapewire.events import (
    MovingAverageCrossover,
    Order,
    OrderType,
    RuleKind,
    Side,
    StopLoss,
    StopLossKind,
)
from tapewire.log.checkpoint import decode_checkpoint, encode_checkpoint
from tapewire.log.jetstream import (
    JetStreamEventLog,
    JetStreamLatestValueStore,
    NatsConnection,
    connect,
)
from tapewire.log.jetstream.streams import VIEWS
from tapewire.runtime import RequestClient
from tapewire.runtime.contracts import alerts, orders, strategies
from tests.harness import fork_server
from tests.harness.repeated_requests import request_until_answered
from tests.harness.stack import StackFactory

USER, OTHER = "u.1", "ivy"
ORDERS = 70
SECONDS = 120.0


class User:
    """Performs the users' actions, and reads their effects."""

    def __init__(self, connection: NatsConnection) -> None:
        self.log = JetStreamEventLog(connection)
        self.views = JetStreamLatestValueStore(connection, stream=VIEWS, prefix="view")
        self.ask = partial(request_until_answered, RequestClient(connection))

    async def order(self, number: int, user: str) -> Order:
        request = orders.PlaceOrder(
            user_id=user,
            symbol="IBM",
            side=Side.SELL if number % 3 == 2 else Side.BUY,
            type=OrderType.MARKET,
            qty=Decimal(number % 7 + 1),
            client_order_id=f"o-{number}",
        )
        reply = await self.ask(orders.SERVICE, orders.PLACE, request, orders.OrderReply)
        found: Order = reply.order
        return found

    async def trade(self) -> None:
        """Place orders of two users, and create a strategy that trades and rules that trigger."""
        rule = alerts.CreateRule(
            user_id=USER, kind=RuleKind.PRICE_ABOVE, symbol="IBM", price=Decimal("0.01")
        )
        await self.ask(alerts.SERVICE, alerts.CREATE, rule, alerts.RuleReply)
        made = await self.ask(
            strategies.SERVICE,
            strategies.CREATE,
            strategies.CreateStrategy(
                user_id=USER,
                symbol="IBM",
                rule=MovingAverageCrossover(fast=1, slow=2),
                quantity=Decimal(5),
                stop_loss=StopLoss(kind=StopLossKind.TRAILING, percent=Decimal("0.01")),
            ),
            strategies.StrategyReply,
        )
        start = strategies.StartStrategy(user_id=USER, strategy_id=made.strategy.strategy_id)
        await self.ask(strategies.SERVICE, strategies.START, start, strategies.StrategyReply)
        self._strategy = made.strategy.strategy_id
        await asyncio.gather(
            *(self.order(n, OTHER if n % 10 == 9 else USER) for n in range(ORDERS))
        )

    async def rest(self) -> None:
        """Stop all trading."""
        stop = strategies.StopStrategy(user_id=USER, strategy_id=self._strategy)
        await self.ask(strategies.SERVICE, strategies.STOP, stop, strategies.StrategyReply)

    async def until(self, what: str, filter_: str, count: int) -> None:
        found = 0
        try:
            async with asyncio.timeout(SECONDS):
                while found < count:
                    page = await self.log.page(filter_, after=0)
                    found = len(page.events) + page.remaining
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{found} of {count}: {what}") from None

    async def wait_for_checkpoints(self, *keys: str) -> None:
        """Wait until there are checkpoints under `keys`."""
        found: set[str] = set()
        try:
            async with asyncio.timeout(SECONDS):
                while not found.issuperset(keys):
                    found = set(await self.views.get_all())
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"no checkpoint of all of {keys}, only of {found}") from None


def verify(url: str, *args: str, wait: str = "60") -> tuple[int, list[str], str]:
    """Run `tapewire verify`; return the exit code, the lines of stdout, and stderr."""
    done = fork_server.run_cli(
        *("verify", "--nats", url, *args),
        environment={**os.environ, "TAPEWIRE_NATS_WAIT": wait},
        timeout=SECONDS,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


async def test_verify_passes_after_trading_and_finds_an_altered_checkpoint(
    stack_factory: StackFactory,
) -> None:
    stack = stack_factory(speed=50)
    connection = await connect(stack.nats_url, "test")
    try:
        user = User(connection)
        await user.trade()
        await user.until("position events", "ev.*.positions.>", ORDERS)
        await user.until("a strategy's decisions and signals", "ev.*.strategies.>", 6)
        await user.until("an alert", "ev.*.alerts.>", 1)
        await user.wait_for_checkpoints(
            "u%2E1.orders", "u%2E1.positions", "_all.book", "_all.positions"
        )

        code, lines, _ = await asyncio.to_thread(verify, stack.nats_url)
        assert (code, lines[-1]) == (0, "nothing differs"), "\n".join(lines)
        code, lines, _ = await asyncio.to_thread(verify, stack.nats_url, "--json")
        summary = json.loads(lines[-1])
        assert (code, summary["differences"]) == (0, 0)
        assert summary["entities"]["orders"] >= ORDERS
        assert summary["entities"]["positions"] >= 2
        assert summary["views"] >= 4
        assert not summary["unknown"]

        await user.rest()
        # The service must not overwrite the altered checkpoint with a checkpoint of recent trades.
        frozen = psutil.Process(stack.kill("positions", signal.SIGSTOP))
        stack.wait_for(
            "the service is stopped by SIGSTOP", lambda: frozen.status() == psutil.STATUS_STOPPED
        )
        await _alter(user.views, "u%2E1.positions", b'"costBasis":', b'"costBasis":1')
        code, lines, _ = await asyncio.to_thread(verify, stack.nats_url)
        assert code == 1, "\n".join(lines)
        assert lines[0].startswith("u.1 checkpoint positions @"), "\n".join(lines)
        assert "positions[0].costBasis" in lines[0]
        code, lines, _ = await asyncio.to_thread(verify, stack.nats_url, "--json", "--user", USER)
        assert code == 1
        assert json.loads(lines[0])["owner"] == USER
        code, lines, _ = await asyncio.to_thread(verify, stack.nats_url, "--user", OTHER)
        assert code == 0, "\n".join(lines)
    finally:
        await connection.close()


async def _alter(views: JetStreamLatestValueStore, key: str, old: bytes, new: bytes) -> None:
    """Replace `old` by `new` in the stored state of a checkpoint."""
    data = await views.get(key)
    assert data is not None
    checkpoint = decode_checkpoint(data)
    state = bytes(checkpoint.state)
    assert old in state
    altered = msgspec.Raw(state.replace(old, new, 1))
    await views.put(key, encode_checkpoint(msgspec.structs.replace(checkpoint, state=altered)))


def test_verify_without_a_server_is_an_error() -> None:
    code, lines, errors = verify("nats://127.0.0.1:9", wait="1")
    assert (code, lines) == (3, [])
    assert "no NATS server answers" in errors
