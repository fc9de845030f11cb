"""Positions in real processes: the lease holder is killed among thousands of trades, the standby
takes over, and in the end the log holds the fold of all trades, each applied once.

Run with ``-s`` to see the measurements: trades applied a second, and how long the takeover takes.
"""

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from tapewire.events import CODEC, PositionEvent, PositionValued, Side, TradeExecuted
from tapewire.log import EventDraft, EventMetadata, EventSubject, LogError, RecordedEvent
from tapewire.log.jetstream import (
    JetStreamEventLog,
    JetStreamLatestValueStore,
    NatsConnection,
    connect,
    provision,
)
from tapewire.log.jetstream.streams import LEASES, MARKET, VIEWS
from tapewire.runtime import RequestClient, RequestTimeout
from tapewire.runtime.contracts import positions as contract
from tapewire_services.positions.trade_consumer import LEASE
from tests.harness import fork_server
from tests.harness.fork_server import ForkedProcess
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.position_builders import quote, trade
from tests.harness.recorded_log import read_events
from tests.harness.verification import TRADE_WITHOUT_FILL, find_differences

BACKLOG_TRADE_COUNT = 4_000
"""Trades in the log before a process starts; the rate is measured on them."""
LIVE_TRADE_COUNT = 1_500
"""The least number of trades that are appended while processes run, die and take over."""
TRADES_PER_APPEND = 50
"""Trades of one append."""
WAIT_SECONDS = 120.0

R = TypeVar("R", bound=msgspec.Struct)


class PositionsDeployment:
    """A NATS server and processes of the service."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "nats").mkdir()
        self._broker = LocalNatsServer(folder / "nats", provisioned=True)
        self._broker.start()
        self.url = self._broker.url
        self.processes: dict[str, ForkedProcess] = {}
        self._ready: dict[str, int] = {}

    def start(self, name: str) -> None:
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("TAPEWIRE_")},
            "TAPEWIRE_NATS_URL": self.url,
            "TAPEWIRE_INSTANCE": name,
            "TAPEWIRE_HEALTH_PORT": "0",
        }
        self._ready[name], writing = os.pipe()
        with (self._folder / f"{name}.log").open("ab") as log:
            self.processes[name] = fork_server.start_service(
                "positions", environment, log.fileno(), {"TAPEWIRE_READY_FD": writing}
            )
        os.close(writing)

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        os.close(self._ready.pop(name))
        process.kill()
        process.wait()

    def close(self) -> None:
        """Stop every process in order; one that has just started stops once it is ready."""
        try:
            for name, process in self.processes.items():
                assert os.read(self._ready[name], 16) == b"ready\n", self.read_logs()
                os.close(self._ready[name])
                process.terminate()
            for name, process in self.processes.items():
                assert process.wait(60) == 0, f"{name}: {self.read_logs()}"
        finally:
            for process in self.processes.values():
                process.kill()
            self._broker.close()

    def read_logs(self) -> str:
        return "\n".join(file.read_text()[-2000:] for file in self._folder.glob("*.log"))


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[PositionsDeployment]:
    made = PositionsDeployment(tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
async def connection(deployment: PositionsDeployment) -> AsyncIterator[NatsConnection]:
    made = await connect(deployment.url, "test")
    await provision(made)
    yield made
    await made.close()


class BatchTradeProducer:
    """Appends trades of 50 users in 20 symbols; many go through zero, some have fees."""

    def __init__(self, log: JetStreamEventLog, seed: int = 7) -> None:
        self._log = log
        self._rng = random.Random(seed)
        self.number = 0

    async def trade(self, count: int) -> None:
        for _ in range(0, count, TRADES_PER_APPEND):
            await self._log.append([self._draft() for _ in range(min(TRADES_PER_APPEND, count))])

    def _draft(self) -> EventDraft:
        rng = self._rng
        self.number += 1
        made = trade(
            rng.choice([Side.BUY, Side.SELL]),
            rng.choice(["1", "3", "25", "0.125", "140"]),
            f"{rng.randrange(9000, 11000) / 100:.2f}",
            rng.choice(["0", "0.35"]),
            symbol=f"SYM.{rng.randrange(20)}",
            number=self.number,
        )
        return EventDraft(
            subject=EventSubject(f"user-{rng.randrange(50)}", "trades", made.order_id),
            event=made,
            metadata=EventMetadata(id=f"trade-{self.number}", correlation="test"),
        )


async def request_until_answered(
    connection: NatsConnection, verb: str, request: msgspec.Struct, reply: type[R]
) -> R:
    """Repeat the request until there is a reply: a process that starts answers a little later."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            with contextlib.suppress(RequestTimeout):
                return await RequestClient(connection).request(
                    contract.SERVICE, verb, request, reply, correlation="test", timeout_seconds=60
                )
            await asyncio.sleep(0.05)


async def lease_holder(connection: NatsConnection, *, other_than: str = "") -> str:
    """The holder of the lease, once it is another one."""
    leases = JetStreamLatestValueStore(connection, stream=LEASES, prefix="$KV.leases")
    holder = ""
    async with asyncio.timeout(WAIT_SECONDS):
        while holder in ("", other_than):
            with contextlib.suppress(LogError):
                holder = (await leases.get(LEASE) or b"").decode()
            await asyncio.sleep(0.02)
    return holder


async def wait_for_position_event(log: JetStreamEventLog, sequence: int) -> RecordedEvent:
    """The first position event of a trade later than `sequence`."""
    async with asyncio.timeout(WAIT_SECONDS):
        after = sequence
        while True:
            page = await log.page("ev.*.positions.>", after=after, limit=1000)
            for recorded in page.events:
                after = recorded.sequence
                if isinstance(recorded.event, PositionEvent) and (
                    recorded.event.trade_sequence > sequence
                ):
                    return recorded
            await asyncio.sleep(0.02)


async def wait_until_all_applied(log: JetStreamEventLog) -> None:
    """Wait until the last trade of all has its position event."""
    last = await log.last_sequence("ev.*.trades.>")
    await wait_for_position_event(log, last - 1)


def trades_per_second(events: list[RecordedEvent]) -> float:
    """Trades applied a second, between the storing of the first page and of the last."""
    stored = [one for one in events if isinstance(one.event, PositionEvent)]
    seconds = (stored[-1].time - stored[0].time).total_seconds()
    return sum(isinstance(one.event, TradeExecuted) for one in events) / seconds


async def test_another_process_takes_over_and_every_trade_counts_once(
    deployment: PositionsDeployment, connection: NatsConnection
) -> None:
    log = JetStreamEventLog(connection)
    producer = BatchTradeProducer(log)
    await producer.trade(BACKLOG_TRADE_COUNT)

    deployment.start("one")
    deployment.start("two")
    first = await lease_holder(connection)
    await wait_until_all_applied(log)
    measured = trades_per_second(await read_events(log))

    is_taken_over = asyncio.Event()

    async def trade_on() -> None:
        while (
            producer.number < BACKLOG_TRADE_COUNT + LIVE_TRADE_COUNT or not is_taken_over.is_set()
        ):
            await producer.trade(TRADES_PER_APPEND)
            await asyncio.sleep(0.1)

    trading = asyncio.create_task(trade_on())
    await wait_for_position_event(log, await log.last_sequence("ev.*.trades.>"))
    deployment.kill(first)
    began = time.monotonic()
    second = await lease_holder(connection, other_than=first)
    await wait_for_position_event(log, await log.last_sequence("ev.*.trades.>"))
    takeover = time.monotonic() - began
    deployment.start(first)  # a standby again
    is_taken_over.set()
    await trading

    await wait_until_all_applied(log)
    views = JetStreamLatestValueStore(connection, stream=VIEWS, prefix="view")
    differences, summary = await find_differences(log, views, ignored=[TRADE_WITHOUT_FILL])
    assert differences == [], deployment.read_logs()
    assert summary.pending == {}
    assert summary.entities["trades"] == producer.number
    assert second != first
    print(  # noqa: T201
        f"\npositions: {measured:,.0f} trades applied a second; takeover after kill -9 in "
        f"{takeover:.1f} s; {summary.events:,} events verified in {summary.seconds:.2f} s"
    )


async def test_positions_are_listed_and_valued_at_live_prices(
    deployment: PositionsDeployment, connection: NatsConnection
) -> None:
    log = JetStreamEventLog(connection)
    market = JetStreamLatestValueStore(
        connection, stream=MARKET, prefix="px", live_prefix="live.px"
    )
    valuations = JetStreamLatestValueStore(
        connection, stream=MARKET, prefix="mk", live_prefix="live.mk"
    )
    await market.put("BRK%2EB", CODEC.encode(quote("110", symbol="BRK.B")))
    deployment.start("one")
    for number, (side, qty) in enumerate([(Side.BUY, "10"), (Side.SELL, "4")], 1):
        made = trade(side, qty, "100", "0.5", symbol="BRK.B", number=number)
        meta = EventMetadata(id=f"t{number}", correlation="test")
        subject = EventSubject("alice", "trades", made.order_id)
        await log.append([EventDraft(subject=subject, event=made, metadata=meta)])

    name = "alice.BRK%2EB"
    assert numbers(await valued(valuations, name, Decimal(6), Decimal(110))) == "60 -1"
    await market.put("BRK%2EB", CODEC.encode(quote("90", symbol="BRK.B", second=1)))
    assert numbers(await valued(valuations, name, Decimal(6), Decimal(90))) == "-60 -1"

    reply = await request_until_answered(
        connection, contract.LIST, contract.ListPositions(user_id="alice"), contract.PositionsReply
    )
    [one] = reply.positions
    assert one.symbol == "BRK.B"
    assert (str(one.quantity), str(one.unrealized_pnl)) == ("6", "-60")
    assert (str(reply.total_value), str(reply.realized_pnl)) == ("540", "-1")


async def valued(
    values: JetStreamLatestValueStore, name: str, quantity: Decimal, price: Decimal
) -> PositionValued:
    """The value under `name`, once it is that of `quantity` at `price`."""
    found: PositionValued | None = None
    async with asyncio.timeout(WAIT_SECONDS):
        while found is None or (found.quantity, found.current_price) != (quantity, price):
            data = await values.get(name)
            found = CODEC.decode(data, PositionValued) if data is not None else None
            await asyncio.sleep(0.02)
    return found


def numbers(value: PositionValued) -> str:
    return f"{value.unrealized_pnl} {value.realized_pnl}"
