"""A journal that fills up says so, keeps room for what reduces exposure, stops nothing else.

Each test has a journal of one mebibyte, filled by events of another user.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tapewire.cli.up.embedded_nats import find_free_port
from tapewire.events import NotificationsRead, OrderType, Position, PositionOpened, Side
from tapewire.log import LogError
from tapewire.log.jetstream import connect
from tapewire.log.jetstream.journal_record import read_extent
from tapewire.log.jetstream.streams import EVENTS, LEASES, total_bytes
from tapewire.runtime import RequestClient
from tapewire.runtime.contracts import orders
from tapewire.runtime.contracts.strategies import STOP_LOSS_SUFFIX
from tests.harness.edge import EdgeProcess, ManagedService
from tests.harness.nats_cluster import run_nats_cluster
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.provisioning import ask, get, run_command
from tests.harness.publishers import EventLogDriver, QuoteDriver
from tests.harness.waiting import wait_until_async

MEBIBYTE = 1 << 20


class Platform:
    def __init__(self, folder: Path, **orders_settings: str) -> None:
        self._folder = folder
        self.server = LocalNatsServer(folder)
        self.server.start()
        self.url = self.server.url
        self.provision(TAPEWIRE_JOURNAL_BYTES=str(MEBIBYTE))
        self.orders_port = find_free_port()
        settings = {"TAPEWIRE_NATS_URL": self.url}
        own_settings = {
            **settings,
            "TAPEWIRE_HEALTH_PORT": str(self.orders_port),
            **orders_settings,
        }
        self.edge = EdgeProcess(settings, folder)
        self._services = [
            self.edge,
            ManagedService("orders", own_settings, folder),
            ManagedService("strategies", settings, folder),
        ]

    def provision(self, **env: str) -> str:
        code, output = run_command("provision", "--nats", self.url, **env)
        assert code == 0, output
        return output

    async def wait_ready(self) -> None:
        for service in self._services:
            await asyncio.to_thread(service.wait_ready)

    async def fill(self, share: float) -> None:
        """Append events until the journal has that share of its limit; 1 until it refuses."""
        connection = await connect(self.url, "test")
        try:
            for _ in range(100_000):
                extent = await read_extent(connection)
                assert extent is not None
                if extent.byte_count >= share * MEBIBYTE:
                    return
                is_far = extent.byte_count < (share - 0.05) * MEBIBYTE
                event = NotificationsRead(
                    ids=("x" * (20_000 if is_far else 100),),
                    timestamp=datetime.now(UTC),
                    command_id="fill",
                )
                try:
                    await EventLogDriver(connection).append("filler", event, domain="notifications")
                except LogError:
                    return
        finally:
            await connection.close()

    def close(self) -> None:
        for service in self._services:
            if service.process.poll() is None:
                service.kill()
        self.server.close()


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    made = Platform(tmp_path)
    try:
        await made.wait_ready()
        yield made
    finally:
        made.close()


async def wait_answer(url: str, status: int, *words: str) -> None:
    """Wait until `url` answers with the status and all words."""
    seen: Any = None

    async def answered() -> bool:
        nonlocal seen
        with contextlib.suppress(httpx.TransportError):
            answer = await get(url)
            seen = (answer.status_code, answer.text)
            return answer.status_code == status and all(word in answer.text for word in words)
        return False

    await wait_until_async(f"{url} answers {words}", answered, describe_last=lambda: seen)


async def test_a_full_journal_is_reported_and_stops_neither_leases_nor_sign_in(
    platform: Platform,
) -> None:
    await platform.fill(1.0)
    await wait_answer(f"{platform.edge.url}/health/ready", 503, "the journal is full")
    await wait_answer(
        f"http://127.0.0.1:{platform.orders_port}/health/ready", 503, "the journal is full"
    )
    await platform.edge.sign_in("alice")
    connection = await connect(platform.url, "test")
    try:
        before = (await ask(connection, f"STREAM.INFO.{LEASES}"))["state"]["last_seq"]

        async def renewed() -> bool:
            state = (await ask(connection, f"STREAM.INFO.{LEASES}"))["state"]
            return bool(state["last_seq"] > before and state["messages"])

        await wait_until_async("the lease is renewed", renewed)
    finally:
        await connection.close()
    code, output = await asyncio.to_thread(run_command, "journal", "status", "--nats", platform.url)
    assert (code, f"of {MEBIBYTE:,}" in output) == (0, True), output


async def test_a_nearly_full_journal_takes_only_what_reduces_exposure(platform: Platform) -> None:
    cookie = await platform.edge.sign_in("alice")
    connection = await connect(platform.url, "test")
    await QuoteDriver(connection).publish("IBM")
    async with platform.edge.client(cookie) as http:
        order = {"symbol": "IBM", "side": "buy", "type": "limit", "limitPrice": 1, "qty": 1}

        answer = httpx.Response(0)

        async def placed() -> bool:
            nonlocal answer
            answer = await http.post("/api/orders", json=order)
            return answer.status_code == 201

        await wait_until_async("an order is placed", placed, describe_last=lambda: answer.text)
        resting = answer.json()["orderId"]
        await platform.fill(0.955)

        async def refused() -> bool:
            nonlocal answer
            # The service looks every 3 s, and each order until then takes room that is left.
            await asyncio.sleep(1)
            answer = await http.post("/api/orders", json=order)
            return answer.status_code == 503 and "nearly full" in answer.text

        await wait_until_async("orders are refused", refused, describe_last=lambda: answer.text)
        canceled = await http.delete(f"/api/orders/{resting}")
        assert canceled.status_code in (200, 202), canceled.text
        assert (await get(f"{platform.edge.url}/health/ready")).status_code == 200
    await connection.close()


async def test_a_nearly_full_journal_starts_no_strategy_and_closes_positions(
    platform: Platform,
) -> None:
    cookie = await platform.edge.sign_in("alice")
    connection = await connect(platform.url, "test")
    await QuoteDriver(connection).publish("IBM")
    position = Position(
        symbol="IBM", quantity=Decimal(10), cost_basis=Decimal(990), entry_price=Decimal(99),
        realized_pnl=Decimal(0), fees=Decimal(0), timestamp=datetime.now(UTC),
    )  # fmt: skip
    opened = PositionOpened(position=position, trade_id="t", trade_sequence=1)
    await EventLogDriver(connection).append_event("alice", "positions", "IBM", opened)
    rule = {"kind": "moving_average_crossover", "fast": 2, "slow": 4}
    body = {"symbol": "IBM", "rule": rule, "quantity": 1}
    async with platform.edge.client(cookie) as http:
        answer = httpx.Response(0)
        strategies: list[str] = []

        async def created() -> bool:
            nonlocal answer
            answer = await http.post("/api/strategies", json=body)
            if answer.status_code == 201:
                strategies.append(answer.json()["strategyId"])
            return len(strategies) == 2

        await wait_until_async("two strategies", created, describe_last=lambda: answer.text)
        running, other = strategies
        assert (await http.post(f"/api/strategies/{running}/start")).status_code == 200
        await platform.fill(0.955)

        async def refused() -> bool:
            nonlocal answer
            answer = await http.post(f"/api/strategies/{other}/start")
            if answer.status_code == 200:
                await http.post(f"/api/strategies/{other}/stop")
                await asyncio.sleep(1)
            return answer.status_code == 503 and "nearly full" in answer.text

        await wait_until_async("starts are refused", refused, describe_last=lambda: answer.text)
        assert answer.json()["error"] == "Service Unavailable"
        assert (await http.post(f"/api/strategies/{running}/start")).status_code == 200
        assert (await http.post(f"/api/strategies/{running}/stop")).status_code == 200
        buy = {"symbol": "IBM", "side": "buy", "type": "limit", "limitPrice": 0.01, "qty": 1}

        async def buys_refused() -> bool:
            """Each process looks at the journal at its own times."""
            return (await http.post("/api/orders", json=buy)).status_code == 503

        await wait_until_async("the orders service refuses to buy", buys_refused)
        order = {"symbol": "IBM", "side": "sell", "type": "limit", "limitPrice": 1000, "qty": 10}
        assert (await http.post("/api/orders", json=order)).status_code == 201
        assert (await http.post("/api/orders", json={**order, "qty": 11})).status_code == 503
        # A reduce-only order, such as that of a stop-loss, whatever the user holds.
        protective = orders.PlaceOrder(
            user_id="alice", symbol="IBM", side=Side.SELL, type=OrderType.MARKET, qty=Decimal(50),
            client_order_id=f"{running}-2{STOP_LOSS_SUFFIX}", strategy_id=running,
            reduce_only=True,
        )  # fmt: skip
        reply = await RequestClient(connection).request(
            orders.SERVICE, orders.PLACE, protective, orders.OrderReply, correlation="c"
        )
        assert reply.created
        await asyncio.to_thread(platform.provision, TAPEWIRE_JOURNAL_BYTES=str(2 * MEBIBYTE))

        async def started() -> bool:
            nonlocal answer
            answer = await http.post(f"/api/strategies/{other}/start")
            return answer.status_code == 200

        await wait_until_async("room is made", started, describe_last=lambda: answer.text)
    await connection.close()


async def test_each_threshold_is_reported_before_the_journal_is_full(tmp_path: Path) -> None:
    platform = Platform(tmp_path, TAPEWIRE_AGENT_HEARTBEAT="1")
    try:
        await platform.wait_ready()
        await platform.fill(0.81)
        await _wait_status(platform, "degraded .* the journal is 80% full")
        await platform.fill(0.96)
        await _wait_status(
            platform, "degraded .* the journal is 95% full: orders that add exposure are refused"
        )
        await wait_answer(f"http://127.0.0.1:{platform.orders_port}/health/ready", 200)
    finally:
        platform.close()


async def _wait_status(platform: Platform, pattern: str) -> None:
    output = ""

    async def is_reported() -> bool:
        nonlocal output
        output = (await asyncio.to_thread(run_command, "status", "--nats", platform.url))[1]
        return re.search(pattern, output) is not None

    await wait_until_async(f"status has {pattern}", is_reported, describe_last=lambda: output)


async def test_the_days_until_the_journal_is_full_are_displayed(platform: Platform) -> None:
    await platform.fill(0.5)
    output = ""

    async def is_rate_known() -> bool:
        nonlocal output
        command = ("journal", "status", "--nats", platform.url)
        output = (await asyncio.to_thread(run_command, *command))[1]
        return "bytes a day)" in output

    await wait_until_async("the rate is known", is_rate_known, describe_last=lambda: output)
    [days] = re.findall(r"days left +([0-9.,]+) \(it grows by [0-9,]+ bytes a day\)", output)
    # Half of a journal was filled within the few minutes of this test.
    assert 0 <= float(days) < 1
    _, output = await asyncio.to_thread(run_command, "status", "--nats", platform.url)
    assert re.search(r"journal: 5[0-9.]+% full, days left: 0\.[0-9] \(it grows by ", output), output
    metrics = ""

    async def measured() -> bool:
        nonlocal metrics
        metrics = (await get(f"{platform.edge.url}/metrics")).text
        return "tapewire_journal_days_left 0." in metrics

    await wait_until_async("the metric", measured, describe_last=lambda: metrics)
    assert "tapewire_journal_bytes_per_day " in metrics


async def test_limits_are_set_once_and_follow_the_setting(platform: Platform) -> None:
    connection = await connect(platform.url, "test")
    try:
        config = (await ask(connection, f"STREAM.INFO.{EVENTS}"))["config"]
        assert (config["max_bytes"], config["discard"]) == (MEBIBYTE, "new")
        larger = await asyncio.to_thread(platform.provision, TAPEWIRE_JOURNAL_BYTES="3000000")
        assert "EVENTS: max_bytes 1048576 -> 3000000" in larger
        await ask(connection, f"STREAM.UPDATE.{EVENTS}", {**config, "max_bytes": 5_000_000})
        unchanged = await asyncio.to_thread(platform.provision, TAPEWIRE_JOURNAL_BYTES="7000000")
        assert "EVENTS" not in unchanged
        config = (await ask(connection, f"STREAM.INFO.{EVENTS}"))["config"]
        assert config["max_bytes"] == 5_000_000
    finally:
        await connection.close()


def test_the_limits_of_all_streams_together_are_stated() -> None:
    assert total_bytes(12 << 30) < 16 << 30


async def test_a_lost_quorum_takes_readiness_away_and_returns_it(tmp_path: Path) -> None:
    with run_nats_cluster(tmp_path) as cluster:
        env = {"TAPEWIRE_REPLICAS": "3", "TAPEWIRE_NATS_WAIT": "60"}
        code, output = await asyncio.to_thread(
            run_command, "provision", "--nats", cluster.url, **env
        )
        assert code == 0, output
        port = find_free_port()
        settings = {"TAPEWIRE_NATS_URL": cluster.url, "TAPEWIRE_HEALTH_PORT": str(port)}
        service = ManagedService("orders", settings, tmp_path)
        try:
            await asyncio.to_thread(service.wait_ready)
            await wait_answer(f"http://127.0.0.1:{port}/health/ready", 200)
            cluster.kill(1)
            cluster.kill(2)
            await wait_answer(f"http://127.0.0.1:{port}/health/ready", 503)
            cluster.start(1)
            cluster.start(2)
            await wait_answer(f"http://127.0.0.1:{port}/health/ready", 200)
        finally:
            service.kill()
