"""Strategies over the real processes: signals become orders become fills, and a runner that is
killed is taken over, with nothing placed twice.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path

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
from tapewire.log import CommandRejected, LogError, RecordedEvent, new_id
from tapewire.log.jetstream import JetStreamEventLog, NatsConnection, connect
from tapewire.runtime import RequestClient, RequestTimeout
from tapewire.runtime.contracts import strategies as asked
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.strategies_process import StrategiesLogSummary

WAIT_SECONDS = 120.0
"""Patience with a machine that is slow or busy; how long a takeover took is told, not judged."""
USER = "alice"


class House:
    """nats-server, prices that walk fast, orders, and two processes of strategies."""

    def __init__(self, broker: LocalNatsServer, folder: Path) -> None:
        self._broker = broker
        self._folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ready: dict[str, int] = {}
        for name, speed in (("prices", "5"), ("orders", "1"), ("strategies", "1")):
            self.start(name, name, speed)
        self.start("strategies", "strategies-2")

    def start(self, service: str, name: str, speed: str = "1") -> None:
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("TAPEWIRE_")},
            "TAPEWIRE_NATS_URL": self._broker.url,
            "TAPEWIRE_SPEED": speed,
            "TAPEWIRE_FEED_SYMBOLS": "IBM,SPY",
            "TAPEWIRE_INSTANCE": name,
        }
        self._ready[name], writing = os.pipe()
        with (self._folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", f"tapewire_services.{service}"],
                env={**environment, "TAPEWIRE_READY_FD": str(writing)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(writing,),
            )
        os.close(writing)

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        os.close(self._ready.pop(name))
        process.send_signal(signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """End it in order, which what has only just been started does when it is ready."""
        for name, process in self.processes.items():
            assert os.read(self._ready[name], 16) == b"ready\n", self.said(name)
            os.close(self._ready[name])
            process.terminate()
        for name, process in self.processes.items():
            assert process.wait(60) == 0, f"{name}: {self.said(name)}"

    def said(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()[-2000:]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    broker = LocalNatsServer(tmp_path / "nats")
    (tmp_path / "nats").mkdir()
    broker.start()
    try:
        made = House(broker, tmp_path)
        try:
            yield made
        finally:
            made.close()
    finally:
        broker.close()


@pytest.fixture
async def wire(house: House) -> AsyncIterator[NatsConnection]:
    made = await connect(house._broker.url, "test", wait_seconds=WAIT_SECONDS)
    yield made
    await made.close()


class Client:
    """What a user's program does, and sees."""

    def __init__(self, wire: NatsConnection) -> None:
        self._wire = wire
        self._requests = RequestClient(wire)
        self._log = JetStreamEventLog(wire)

    async def ask(self, verb: str, request: object) -> asked.StrategyReply:
        """Until it is answered: services that start answer a little later."""
        command_id = new_id()
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                with contextlib.suppress(RequestTimeout):
                    return await self._requests.request(
                        asked.SERVICE,
                        verb,
                        request,  # type: ignore[arg-type]
                        asked.StrategyReply,
                        correlation="test",
                        command_id=command_id,
                    )
                await asyncio.sleep(0.1)

    async def strategy(
        self, rule: StrategyRule, *, stop: StopLoss | None = None, symbol: str
    ) -> str:
        create = asked.CreateStrategy(
            user_id=USER, symbol=symbol, rule=rule, quantity=Decimal(150), stop_loss=stop
        )
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                # A market that has only just come to life may not know the symbol yet.
                with contextlib.suppress(CommandRejected):
                    made = await self.ask(asked.CREATE, create)
                    break
        id_ = made.strategy.strategy_id
        await self.ask(asked.START, asked.StartStrategy(user_id=USER, strategy_id=id_))
        return id_

    async def ledger(self) -> StrategiesLogSummary:
        stored: list[RecordedEvent] = []
        more = True
        while more:
            page = await self._log.page("ev.>", after=stored[-1].sequence if stored else 0)
            stored += page.events
            more = page.has_more
        return StrategiesLogSummary(stored)

    async def in_ledger(
        self,
        what: str,
        holds: Callable[[StrategiesLogSummary], object],
        seconds: float = WAIT_SECONDS,
    ) -> StrategiesLogSummary:
        """Wait until the log holds what is waited for."""
        seen: StrategiesLogSummary | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    with contextlib.suppress(LogError):
                        seen = await self.ledger()
                        if holds(seen):
                            return seen
                    await asyncio.sleep(0.05)
        told = seen and {
            id_: (seen.describe_events(id_)[-8:], one) for id_, one in seen.strategies.items()
        }
        raise AssertionError(f"not within {seconds:g} s: {what}; last seen: {told}")

    async def holder(self, lease: str) -> str:
        """Who holds the lease."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                subject = f"$JS.API.DIRECT.GET.KV_leases.$KV.leases.{lease}"
                with contextlib.suppress(LogError):
                    message = await self._wire.request(subject)
                    if message.data:
                        return str(message.data.decode())
                await asyncio.sleep(0.05)

    async def last(self) -> int:
        return (await self._log.bounds()).last


def trades(seen: StrategiesLogSummary) -> int:
    return sum(len(seen.events_of_type(id_, StrategyTraded)) for id_ in seen.strategies)


async def test_a_killed_runner_is_taken_over_and_nothing_is_placed_twice(
    house: House, wire: NatsConnection
) -> None:
    client = Client(wire)
    trailing = StopLoss(kind=StopLossKind.TRAILING, percent=Decimal("0.02"))
    fixed = StopLoss(kind=StopLossKind.FIXED, percent=Decimal("0.01"))
    ids = [
        await client.strategy(MovingAverageCrossover(fast=2, slow=4), symbol="IBM"),
        await client.strategy(Breakout(window=3), stop=trailing, symbol="IBM"),
        await client.strategy(Breakout(window=2), stop=fixed, symbol="SPY"),
    ]
    seen = await client.in_ledger(
        "every strategy traded, a stop-loss was executed",
        lambda seen: (
            all(seen.events_of_type(id_, StrategyTraded) for id_ in ids)
            and any(seen.events_of_type(id_, StopLossExecuted) for id_ in ids)
        ),
    )
    takeovers = []
    for _ in range(2):
        holder = await client.holder("strategies-runner")
        loop = asyncio.get_running_loop()
        house.kill(holder)
        killed, before = loop.time(), await client.last()
        seen = await client.in_ledger("the next runner acts", partial(acted, before=before))
        takeovers.append(loop.time() - killed)
        house.start("strategies", holder)
        await client.in_ledger("it goes on", partial(traded_more, than=trades(seen) + 10))
    for id_ in ids:
        await client.ask(asked.STOP, asked.StopStrategy(user_id=USER, strategy_id=id_))
    seen = await client.in_ledger("all settled", lambda seen: seen.is_settled())
    seen.assert_consistent()
    counts = {
        kind.__name__: sum(len(seen.events_of_type(id_, kind)) for id_ in ids)
        for kind in (StrategySignaled, StrategyTraded, StopLossTriggered, StopLossExecuted)
    }
    fills = sorted(delays(seen))
    print(  # noqa: T201 - a figure for whoever runs it with -s
        f"takeovers after {', '.join(f'{one:.1f} s' for one in takeovers)}; {counts}; "
        f"from a signal to its first fill {fills[len(fills) // 2] * 1000:.0f} ms (median)"
    )
    listed = await RequestClient(wire).request(
        asked.SERVICE,
        asked.LIST,
        asked.ListStrategies(user_id=USER),
        asked.StrategiesReply,
        correlation="test",
    )
    assert {one.strategy_id: one for one in listed.strategies} == seen.strategies
    assert {one.status for one in listed.strategies} == {StrategyStatus.STOPPED}


def delays(seen: StrategiesLogSummary) -> list[float]:
    """Seconds from each signal to the first of its fills in the log."""
    signaled: dict[str, RecordedEvent] = {}
    found = []
    for one in seen.recorded_events:
        event = one.event
        if isinstance(event, StrategySignaled):
            signaled[event.order_id] = one
        if isinstance(event, StrategyTraded) and event.order_id in signaled:
            found.append((one.time - signaled.pop(event.order_id).time).total_seconds())
    return found


def traded_more(seen: StrategiesLogSummary, than: int) -> bool:
    return trades(seen) > than


def acted(seen: StrategiesLogSummary, before: int) -> bool:
    """Whether a runner decided something after `before`: the killed one could not."""
    return any(
        one.sequence > before and one.tag in ("decision.made.v1", "strategy.signaled.v1")
        for one in seen.recorded_events
    )
