"""A user is erased from a whole system that goes on trading: nothing of the user is left anywhere,
also not in the files of the message server, and everybody else keeps everything.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterable
from decimal import Decimal
from functools import partial
from pathlib import Path

import httpx
import pytest

from tapewire import views
from tapewire.events import (
    MovingAverageCrossover,
    OrderType,
    RuleKind,
    Side,
    StopLoss,
    StopLossKind,
)
from tapewire.log import Unavailable, encode_token, view_checkpoints
from tapewire.log.jetstream import (
    JetStreamEventLog,
    JetStreamLatestValueStore,
    NatsConnection,
    connect,
    stream_reads,
)
from tapewire.log.jetstream.streams import MARKET, VIEWS
from tapewire.runtime import RequestClient
from tapewire.runtime.contracts import alerts, orders, strategies
from tests.harness import provisioning
from tests.harness.erasures import find_in_checkpoints, find_in_files
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.provisioning import run_command
from tests.harness.repeated_requests import request_until_answered
from tests.harness.stack import Stack, StackFactory
from tests.harness.waiting import wait_until_async

ERASED, QUIET, BUSY = "erin.of the/past", "quentin", "bess"
SECONDS = 120.0
COMMAND_TIMEOUT_SECONDS = 900.0
LOAD_INTERVAL_SECONDS = 0.05
"""Between two orders of the busy user."""
USER_COUNT = 1_000
ERASED_ORDER_COUNT = 150
VIEW_TYPES = (
    views.OrdersView,
    views.OrderHistory,
    views.TradeHistory,
    views.PositionsView,
    views.StrategiesView,
    views.RulesView,
    views.NotificationsView,
)


class Platform:
    """A running stack, its users' requests, and what is stored."""

    def __init__(self, stack: Stack, connection: NatsConnection) -> None:
        self.stack = stack
        self.connection = connection
        self.log = JetStreamEventLog(connection)
        self.views = JetStreamLatestValueStore(connection, stream=VIEWS, prefix="view")
        self.ask = partial(request_until_answered, RequestClient(connection))

    async def place(self, user: str, limit_price: Decimal | None = None) -> None:
        request = orders.PlaceOrder(
            user_id=user,
            symbol="IBM",
            side=Side.BUY,
            type=OrderType.MARKET if limit_price is None else OrderType.LIMIT,
            limit_price=limit_price,
            qty=Decimal(3),
        )
        await self.ask(orders.SERVICE, orders.PLACE, request, orders.OrderReply)

    async def trade(self, user: str, order_count: int) -> None:
        """Hold something, have an open order, a strategy that runs, and rules of every kind."""
        for kind, price, percent in (
            (RuleKind.PRICE_ABOVE, Decimal("0.01"), None),
            (RuleKind.PRICE_BELOW, Decimal("0.01"), None),
            (RuleKind.PERCENT_MOVE, None, Decimal(90)),
        ):
            rule = alerts.CreateRule(
                user_id=user,
                kind=kind,
                symbol="IBM",
                price=price,
                percent=percent,
                window_seconds=60 if percent else None,
            )
            await self.ask(alerts.SERVICE, alerts.CREATE, rule, alerts.RuleReply)
        made = await self.ask(
            strategies.SERVICE,
            strategies.CREATE,
            strategies.CreateStrategy(
                user_id=user,
                symbol="IBM",
                rule=MovingAverageCrossover(fast=1, slow=2),
                quantity=Decimal(5),
                stop_loss=StopLoss(kind=StopLossKind.TRAILING, percent=Decimal(50)),
            ),
            strategies.StrategyReply,
        )
        start = strategies.StartStrategy(user_id=user, strategy_id=made.strategy.strategy_id)
        await self.ask(strategies.SERVICE, strategies.START, start, strategies.StrategyReply)
        await self.place(user, Decimal("0.01"))
        await asyncio.gather(*(self.place(user) for _ in range(order_count)))

    async def stop_strategies(self, user: str) -> None:
        listed = await self.ask(
            strategies.SERVICE,
            strategies.LIST,
            strategies.ListStrategies(user_id=user),
            strategies.StrategiesReply,
        )
        for one in listed.strategies:
            stop = strategies.StopStrategy(user_id=user, strategy_id=one.strategy_id)
            await self.ask(strategies.SERVICE, strategies.STOP, stop, strategies.StrategyReply)

    async def until(
        self, what: str, filter_: str, count: int = 1, timeout_seconds: float = SECONDS
    ) -> None:
        found = 0
        try:
            async with asyncio.timeout(timeout_seconds):
                while found < count:
                    page = await self.log.page(filter_, after=0)
                    found = len(page.events) + page.remaining
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{found} of {count}: {what}") from None

    async def valuation_time(self, user: str) -> str:
        """When the user's holding was last valued; empty if there is no value."""
        store = JetStreamLatestValueStore(
            self.connection, stream=MARKET, prefix=f"mk.{encode_token(user)}"
        )
        data = await store.get("IBM")
        return json.loads(data)["timestamp"] if data else ""

    async def subjects_of(self, user: str) -> list[str]:
        """What EVENTS, VIEWS, MARKET and PARKED hold under the user's name."""
        token = encode_token(user)
        return [
            subject
            for stream, filter_ in (
                ("EVENTS", f"ev.{token}.>"),
                (VIEWS, f"view.{token}.>"),
                (MARKET, f"mk.{token}.>"),
                ("PARKED", f"parked.*.*.ev.{token}.>"),
            )
            for subject in await stream_reads.subjects(self.connection, stream, filter_)
        ]

    async def views_of(self, user: str) -> list[bytes]:
        """Every view of the user, as it would be stored."""
        loaded = [
            await view_checkpoints.load(self.log, self.views, kind, user) for kind in VIEW_TYPES
        ]
        return [view.encode() for view, _ in loaded]

    async def views_of_all(self, users: Iterable[str]) -> dict[str, list[bytes]]:
        slots = asyncio.Semaphore(16)

        async def read(user: str) -> tuple[str, list[bytes]]:
            async with slots, asyncio.timeout(SECONDS):
                while True:
                    with contextlib.suppress(Unavailable):
                        return user, await self.views_of(user)
                    await asyncio.sleep(0.5)

        return dict(await asyncio.gather(*map(read, users)))

    async def wait_for_next_valuation(self, user: str) -> None:
        before = await self.valuation_time(user)

        async def is_newer() -> bool:
            return await self.valuation_time(user) not in ("", before)

        await wait_until_async(f"{user} is valued again", is_newer)

    async def wait_until_unchanged(self, user: str) -> None:
        """Wait until no view of the user changes within two seconds."""

        async def is_unchanged() -> bool:
            before = await self.views_of(user)
            await asyncio.sleep(2)
            return await self.views_of(user) == before

        await wait_until_async(f"the views of {user} do not change", is_unchanged)

    async def run(self, *command: str) -> tuple[int, str]:
        return await asyncio.to_thread(run_command, *command, "--nats", self.stack.nats_url)

    async def erase(self, user: str, *options: str) -> tuple[int, str]:
        return await self.run("journal", "erase", "--user", user, *options)

    async def verify(self) -> tuple[int, str]:
        return await self.run("verify")


@pytest.fixture
async def platform(
    stack_factory: StackFactory, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Platform]:
    monkeypatch.setattr(provisioning, "COMMAND_TIMEOUT_SECONDS", COMMAND_TIMEOUT_SECONDS)
    stack = stack_factory(speed=50, env={"TAPEWIRE_EQUITY_INTERVAL": "1"})
    connection = await connect(stack.nats_url, "test")
    yield Platform(stack, connection)
    await connection.close()


async def test_a_user_is_erased_under_load_without_a_trace(
    platform: Platform, tmp_path: Path
) -> None:
    stack = platform.stack
    cookies = await asyncio.to_thread(stack.sign_in, ERASED)
    await platform.trade(QUIET, 20)
    await platform.trade(ERASED, 80)
    await platform.until("position events", f"ev.{encode_token(ERASED)}.positions.>", 20)
    await platform.until("alerts", f"ev.{encode_token(ERASED)}.alerts.>")
    await platform.until("notifications", f"ev.{encode_token(ERASED)}.notifications.>", 20)
    await platform.wait_for_next_valuation(ERASED)

    async def has_equity_curve() -> bool:
        curve = f"view.{encode_token(ERASED)}.equity"
        return curve in await platform.subjects_of(ERASED)

    await wait_until_async("the first sample is stored", has_equity_curve)
    assert find_in_files(stack.data_dir, ERASED)

    is_over = asyncio.Event()

    async def trade_on() -> int:
        count = 0
        while not is_over.is_set():
            await platform.place(BUSY)
            await asyncio.sleep(LOAD_INTERVAL_SECONDS)
            count += 1
        return count

    load = asyncio.create_task(trade_on())
    receipt_file = tmp_path / "receipt.json"
    code, output = await platform.erase(ERASED, "--receipt", str(receipt_file))
    is_over.set()
    assert code == 0, output + stack.log_tail()
    assert await load > 5
    receipt = json.loads(receipt_file.read_bytes())
    assert receipt["user"] == ERASED
    assert receipt["events"] > 300, receipt
    assert receipt["removed"]["sessions"] == 1, receipt

    await platform.wait_for_next_valuation(QUIET)
    await platform.wait_for_next_valuation(QUIET)
    assert await platform.subjects_of(ERASED) == []
    assert await find_in_checkpoints(platform.views, ERASED) == []
    async with httpx.AsyncClient(base_url=stack.url, cookies=cookies, timeout=30) as http:
        assert (await http.get("/api/orders")).status_code == 401
    code, output = await platform.verify()
    assert code == 0, output
    assert f"not in the log: {receipt['events']:,} events; erasures of users: 1" in output
    assert "from before the erasure" not in output  # every shared checkpoint was compared

    await platform.connection.close()
    assert stack.stop() == 0
    assert find_in_files(stack.data_dir, ERASED) == []
    assert find_in_files(stack.data_dir, BUSY)


def report(text: str) -> None:
    print(f"{time.perf_counter():.1f} {text}", flush=True)  # noqa: T201 - the figures of a run


@pytest.mark.slow
async def test_one_of_a_thousand_users_is_erased_under_load(
    platform: Platform, tmp_path: Path
) -> None:
    """Run with ``-s`` to see the measurements."""
    stack = platform.stack
    quiet_users = [f"quiet-{number}" for number in range(USER_COUNT - 11)]
    busy_users = [f"busy-{number}" for number in range(10)]
    slots = asyncio.Semaphore(64)

    async def trade_a_little(user: str) -> None:
        async with slots:
            await platform.place(user, Decimal("0.01"))
            for _ in range(3):
                await platform.place(user)

    report("trading")
    await asyncio.gather(*map(trade_a_little, quiet_users))
    await platform.trade(QUIET, 80)
    await platform.trade(ERASED, ERASED_ORDER_COUNT)
    await platform.stop_strategies(QUIET)
    await platform.until(
        "positions", "ev.*.positions.>", 3 * len(quiet_users) + 80, timeout_seconds=600
    )
    token = encode_token(ERASED)
    await platform.until("notifications", f"ev.{token}.notifications.>", ERASED_ORDER_COUNT)
    await platform.wait_until_unchanged(QUIET)

    async def is_in_shared_checkpoints() -> bool:
        return any(key.startswith("_all.") for key in await find_in_checkpoints(stored, ERASED))

    stored = platform.views
    await wait_until_async("services have stored the user's orders", is_in_shared_checkpoints)
    report("reading everybody's views")
    before = await platform.views_of_all((QUIET, *quiet_users))
    size = (await platform.log.bounds()).last

    latencies: dict[bool, list[float]] = {False: [], True: []}
    is_erasing = is_over = False

    async def trade_on(user: str) -> None:
        while not is_over:
            began = time.perf_counter()
            await platform.place(user)
            latencies[is_erasing].append(time.perf_counter() - began)
            await asyncio.sleep(0.05)

    load = [asyncio.create_task(trade_on(user)) for user in busy_users]
    await asyncio.sleep(15)  # the latency without an erasure, for comparison
    report("erasing")
    is_erasing, began = True, time.perf_counter()
    receipt_file = tmp_path / "receipt.json"
    code, output = await platform.erase(ERASED, "--receipt", str(receipt_file))
    seconds = time.perf_counter() - began
    is_over = True
    await asyncio.gather(*load)
    assert code == 0, output
    receipt = json.loads(receipt_file.read_bytes())
    report(f"{size:,} events of {USER_COUNT:,} users; {seconds:.1f} s; {receipt}")
    for name, found in (("before", latencies[False]), ("during", latencies[True])):
        found.sort()
        p50, p99 = (found[int(len(found) * part)] * 1000 for part in (0.5, 0.99))
        report(f"orders {name}: {len(found)}, {p50:.0f} ms, p99 {p99:.0f}, max {found[-1]:.3f} s")

    assert receipt["events"] > 6 * ERASED_ORDER_COUNT, receipt
    assert await platform.views_of_all(before) == before
    assert await platform.subjects_of(ERASED) == []
    assert await find_in_checkpoints(stored, ERASED) == []
    backup, archive = tmp_path / "backup", tmp_path / "archive"
    archive_options = ("--before", str(size), "--to", str(archive), "--min-age", "0")
    for command in (
        ("verify",),
        ("journal", "backup", str(backup)),
        ("journal", "archive", *archive_options),
        ("verify", "--archive", str(archive)),
    ):
        began = time.perf_counter()
        code, output = await platform.run(*command)
        assert code == 0, output
        report(f"{' '.join(command[:2])}: {time.perf_counter() - began:.1f} s; {output}")
    assert await platform.views_of_all(before) == before
    await platform.connection.close()
    assert stack.stop() == 0
    restored = await restore(backup, tmp_path / "restored")
    for folder in (stack.data_dir, archive, backup, restored):
        assert find_in_files(folder, ERASED) == []
    for folder in (stack.data_dir, archive, restored):
        assert find_in_files(folder, quiet_users[-1]), f"{folder} lacks another user"


async def restore(backup: Path, folder: Path) -> Path:
    """Restore a backup, whose files are compressed, to a new server; the folder of its files."""
    server = LocalNatsServer(folder)
    server.start()
    try:
        arguments = ("journal", "restore", str(backup), "--nats", server.url)
        code, output = await asyncio.to_thread(run_command, *arguments)
        assert code == 0, output
        connection = await connect(server.url, "test")
        store = JetStreamLatestValueStore(connection, stream=VIEWS, prefix="view")
        assert await store.get_all()
        assert await find_in_checkpoints(store, ERASED) == []
        await connection.close()
    finally:
        server.close()
    return folder
