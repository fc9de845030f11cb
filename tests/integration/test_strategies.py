"""Strategies in real processes: signals become orders and fills, also after a takeover."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path

import msgspec
import pytest

from tapewire.events import (
    Breakout,
    MovingAverageCrossover,
    StopLoss,
    StopLossExecuted,
    StopLossKind,
    StopLossTriggered,
    StrategyRule,
    StrategySignaled,
    StrategyStatus,
    StrategyTraded,
)
from tapewire.log import CommandRejected, LogError, RecordedEvent
from tapewire.log.jetstream import JetStreamEventLog, NatsConnection, connect
from tapewire.runtime import RequestClient
from tapewire.runtime.contracts import strategies as contract
from tests.harness import fork_server
from tests.harness.fork_server import ForkedProcess
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.recorded_log import read_events
from tests.harness.repeated_requests import request_until_answered
from tests.harness.strategies_process import StrategiesLogSummary

WAIT_SECONDS = 120.0
"""Limit of every wait, for slow machines; the time of a takeover is printed and not asserted."""
USER = "alice"


class StrategiesStack:
    """A NATS server, fast prices, the orders service, and two processes of strategies."""

    def __init__(self, broker: LocalNatsServer, folder: Path) -> None:
        self._broker = broker
        self._folder = folder
        self.processes: dict[str, ForkedProcess] = {}
        self._ready: dict[str, int] = {}
        for name, speed in (("prices", "5"), ("orders", "1"), ("strategies", "1")):
            self.start(name, name, speed)
        self.start("strategies", "strategies-2")

    def start(self, service: str, name: str, speed: str = "1") -> None:
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("TAPEWIRE_")},
            "TAPEWIRE_NATS_URL": self._broker.url,
            "TAPEWIRE_SPEED": speed,
            "TAPEWIRE_FEED_SYMBOLS": "AIG,IBM,SPY",
            "TAPEWIRE_INSTANCE": name,
        }
        self._ready[name], writing = os.pipe()
        with (self._folder / f"{name}.log").open("ab") as log:
            self.processes[name] = fork_server.start_service(
                service, environment, log.fileno(), {"TAPEWIRE_READY_FD": writing}
            )
        os.close(writing)

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        os.close(self._ready.pop(name))
        process.send_signal(signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """Stop all processes in order, each after it has become ready."""
        for name, process in self.processes.items():
            assert os.read(self._ready[name], 16) == b"ready\n", self.read_output(name)
            os.close(self._ready[name])
            process.terminate()
        for name, process in self.processes.items():
            assert process.wait(60) == 0, f"{name}: {self.read_output(name)}"

    def read_output(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()[-2000:]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StrategiesStack]:
    broker = LocalNatsServer(tmp_path / "nats", provisioned=True)
    (tmp_path / "nats").mkdir()
    broker.start()
    try:
        made = StrategiesStack(broker, tmp_path)
        try:
            yield made
        finally:
            made.close()
    finally:
        broker.close()


@pytest.fixture
async def connection(stack: StrategiesStack) -> AsyncIterator[NatsConnection]:
    connected = await connect(stack._broker.url, "test", wait_seconds=WAIT_SECONDS)
    yield connected
    await connected.close()


class Client:
    """Sends the requests of a user, and reads the log."""

    def __init__(self, connection: NatsConnection) -> None:
        self._connection = connection
        self._requests = RequestClient(connection)
        self._log = JetStreamEventLog(connection)

    async def request(self, verb: str, request: msgspec.Struct) -> contract.StrategyReply:
        """Repeat the request until it is answered; a service that starts answers a little later."""
        return await request_until_answered(
            self._requests, contract.SERVICE, verb, request, contract.StrategyReply
        )

    async def create_strategy(
        self, rule: StrategyRule, *, stop: StopLoss | None = None, symbol: str
    ) -> str:
        create = contract.CreateStrategy(
            user_id=USER, symbol=symbol, rule=rule, quantity=Decimal(150), stop_loss=stop
        )
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                # A price service that has just started may not know the symbol yet.
                with contextlib.suppress(CommandRejected):
                    made = await self.request(contract.CREATE, create)
                    break
        id_ = made.strategy.strategy_id
        await self.request(contract.START, contract.StartStrategy(user_id=USER, strategy_id=id_))
        return id_

    async def read_log(self) -> StrategiesLogSummary:
        return StrategiesLogSummary(await read_events(self._log))

    async def wait_for_log(
        self,
        what: str,
        holds: Callable[[StrategiesLogSummary], object],
        seconds: float = WAIT_SECONDS,
    ) -> StrategiesLogSummary:
        """Wait until `holds` is true of the log."""
        seen: StrategiesLogSummary | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    with contextlib.suppress(LogError):
                        seen = await self.read_log()
                        if holds(seen):
                            return seen
                    await asyncio.sleep(0.05)
        last_seen = seen and {
            id_: (seen.describe_events(id_)[-8:], one) for id_, one in seen.strategies.items()
        }
        raise AssertionError(f"not within {seconds:g} s: {what}; last seen: {last_seen}")

    async def lease_holder(self, lease: str) -> str:
        """Wait for the lease to be held. Return the instance that holds it."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                subject = f"$JS.API.DIRECT.GET.KV_leases.$KV.leases.{lease}"
                with contextlib.suppress(LogError):
                    message = await self._connection.request(subject)
                    if message.data:
                        return str(message.data.decode())
                await asyncio.sleep(0.05)

    async def last_sequence(self) -> int:
        return (await self._log.bounds()).last


def count_trades(seen: StrategiesLogSummary) -> int:
    return sum(len(seen.events_of_type(id_, StrategyTraded)) for id_ in seen.strategies)


async def test_another_process_takes_over_and_places_no_order_twice(
    stack: StrategiesStack, connection: NatsConnection
) -> None:
    client = Client(connection)
    trailing = StopLoss(kind=StopLossKind.TRAILING, percent=Decimal("0.02"))
    fixed = StopLoss(kind=StopLossKind.FIXED, percent=Decimal("0.01"))
    ids = [
        await client.create_strategy(MovingAverageCrossover(fast=2, slow=4), symbol="IBM"),
        await client.create_strategy(Breakout(window=3), stop=trailing, symbol="AIG"),
        await client.create_strategy(Breakout(window=2), stop=fixed, symbol="SPY"),
    ]
    seen = await client.wait_for_log(
        "every strategy traded, a stop-loss was executed",
        lambda seen: (
            all(seen.events_of_type(id_, StrategyTraded) for id_ in ids)
            and any(seen.events_of_type(id_, StopLossExecuted) for id_ in ids)
        ),
    )
    takeovers = []
    for _ in range(2):
        lease_holder = await client.lease_holder("strategies-runner")
        loop = asyncio.get_running_loop()
        stack.kill(lease_holder)
        killed, before = loop.time(), await client.last_sequence()
        seen = await client.wait_for_log("the next runner acts", partial(has_acted, before=before))
        takeovers.append(loop.time() - killed)
        stack.start("strategies", lease_holder)
        await client.wait_for_log(
            "the runner continues to trade", partial(has_more_trades, than=count_trades(seen) + 10)
        )
    for id_ in ids:
        await client.request(contract.STOP, contract.StopStrategy(user_id=USER, strategy_id=id_))
    seen = await client.wait_for_log("all strategies are settled", lambda seen: seen.is_settled())
    seen.assert_consistent()
    counts = {
        kind.__name__: sum(len(seen.events_of_type(id_, kind)) for id_ in ids)
        for kind in (StrategySignaled, StrategyTraded, StopLossTriggered, StopLossExecuted)
    }
    fills = sorted(fill_delays(seen))
    print(  # noqa: T201 - a figure for `-s`
        f"takeovers after {', '.join(f'{one:.1f} s' for one in takeovers)}; {counts}; "
        f"from a signal to its first fill {fills[len(fills) // 2] * 1000:.0f} ms (median)"
    )
    listed = await RequestClient(connection).request(
        contract.SERVICE,
        contract.LIST,
        contract.ListStrategies(user_id=USER),
        contract.StrategiesReply,
        correlation="test",
    )
    assert {one.strategy_id: one for one in listed.strategies} == seen.strategies
    assert {one.status for one in listed.strategies} == {StrategyStatus.STOPPED}


def fill_delays(seen: StrategiesLogSummary) -> list[float]:
    """Seconds from each signal to its first fill in the log."""
    signaled: dict[str, RecordedEvent] = {}
    found = []
    for one in seen.recorded_events:
        event = one.event
        if isinstance(event, StrategySignaled):
            signaled[event.order_id] = one
        if isinstance(event, StrategyTraded) and event.order_id in signaled:
            found.append((one.time - signaled.pop(event.order_id).time).total_seconds())
    return found


def has_more_trades(seen: StrategiesLogSummary, than: int) -> bool:
    return count_trades(seen) > than


def has_acted(seen: StrategiesLogSummary, before: int) -> bool:
    """Whether a runner has decided anything after sequence `before`."""
    return any(
        one.sequence > before and one.tag in ("decision.made.v1", "strategy.signaled.v1")
        for one in seen.recorded_events
    )
