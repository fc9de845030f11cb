"""Positions over real processes: the leader is killed in the middle of thousands of trades, the
standby takes over, and what is in the log in the end is the fold of all trades, each once.

Run with ``-s`` to see what it measures: reactions a second, and how long a takeover takes.
"""

import asyncio
import contextlib
import os
import random
import subprocess
import sys
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
from tapewire.runtime.contracts import positions as asked
from tapewire_services.positions.domain.position import PositionKey
from tapewire_services.positions.trade_consumer import LEASE
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.position_builders import quote, trade
from tests.harness.verification import TRADE_WITHOUT_FILL, find_differences

BACKLOG = 10_000
"""Trades that are there before anybody takes them: what reactions a second are measured on."""
LIVE = 3_000
"""Trades, at least, that come while processes run, die and take over: until that is over."""
TOGETHER = 50
"""Trades of one append, as grouped fills come."""
WAIT_SECONDS = 120.0

R = TypeVar("R", bound=msgspec.Struct)


class House:
    """A nats-server, and processes of the service."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "nats").mkdir()
        self._broker = LocalNatsServer(folder / "nats")
        self._broker.start()
        self.url = self._broker.url
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
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
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-P", "-m", "tapewire_services.positions"],
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
        process.kill()
        process.wait()

    def close(self) -> None:
        """End it in order, which what has only just been started does when it is ready."""
        try:
            for name, process in self.processes.items():
                assert os.read(self._ready[name], 16) == b"ready\n", self.said()
                os.close(self._ready[name])
                process.terminate()
            for name, process in self.processes.items():
                assert process.wait(60) == 0, f"{name}: {self.said()}"
        finally:
            for process in self.processes.values():
                process.kill()
            self._broker.close()

    def said(self) -> str:
        return "\n".join(file.read_text()[-2000:] for file in self._folder.glob("*.log"))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
async def wire(house: House) -> AsyncIterator[NatsConnection]:
    made = await connect(house.url, "test")
    await provision(made)
    yield made
    await made.close()


class Trader:
    """Appends trades of some users in some symbols, many through zero, some with fees."""

    def __init__(self, log: JetStreamEventLog, seed: int = 7) -> None:
        self._log = log
        self._chance = random.Random(seed)
        self.number = 0

    async def trade(self, count: int) -> None:
        for _ in range(0, count, TOGETHER):
            await self._log.append([self._draft() for _ in range(min(TOGETHER, count))])

    def _draft(self) -> EventDraft:
        chance = self._chance
        self.number += 1
        made = trade(
            chance.choice([Side.BUY, Side.SELL]),
            chance.choice(["1", "3", "25", "0.125", "140"]),
            f"{chance.randrange(9000, 11000) / 100:.2f}",
            chance.choice(["0", "0.35"]),
            symbol=f"SYM.{chance.randrange(20)}",
            number=self.number,
        )
        return EventDraft(
            subject=EventSubject(f"user-{chance.randrange(50)}", "trades", made.order_id),
            event=made,
            metadata=EventMetadata(id=f"trade-{self.number}", correlation="test"),
        )


async def everything(log: JetStreamEventLog) -> list[RecordedEvent]:
    events, more = list[RecordedEvent](), True
    while more:
        page = await log.page("ev.>", after=events[-1].sequence if events else 0, limit=1000)
        events += page.events
        more = page.has_more
    return events


async def ask(wire: NatsConnection, verb: str, request: msgspec.Struct, reply: type[R]) -> R:
    """Until it is answered: a process that starts answers a little later."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            with contextlib.suppress(RequestTimeout):
                return await RequestClient(wire).request(
                    asked.SERVICE, verb, request, reply, correlation="test", timeout_seconds=60
                )
            await asyncio.sleep(0.05)


async def leader(wire: NatsConnection, *, other_than: str = "") -> str:
    """Who holds the lease, once it is another."""
    leases = JetStreamLatestValueStore(wire, stream=LEASES, prefix="$KV.leases")
    holder = ""
    async with asyncio.timeout(WAIT_SECONDS):
        while holder in ("", other_than):
            with contextlib.suppress(LogError):
                holder = (await leases.get(LEASE) or b"").decode()
            await asyncio.sleep(0.02)
    return holder


async def taken_after(log: JetStreamEventLog, sequence: int) -> RecordedEvent:
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


async def all_taken(log: JetStreamEventLog) -> None:
    """Wait until the last trade of all has its position event."""
    last = await log.last_sequence("ev.*.trades.>")
    await taken_after(log, last - 1)


def rate(events: list[RecordedEvent]) -> float:
    """Trades taken a second, from the first page's to the last page's storing."""
    stored = [one for one in events if isinstance(one.event, PositionEvent)]
    seconds = (stored[-1].time - stored[0].time).total_seconds()
    return sum(isinstance(one.event, TradeExecuted) for one in events) / seconds


async def test_a_killed_leader_is_taken_over_and_every_trade_counts_once(
    house: House, wire: NatsConnection
) -> None:
    log = JetStreamEventLog(wire)
    trader = Trader(log)
    await trader.trade(BACKLOG)

    house.start("one")
    house.start("two")
    first = await leader(wire)
    await all_taken(log)
    measured = rate(await everything(log))

    taken_over = asyncio.Event()

    async def trade_on() -> None:
        while trader.number < BACKLOG + LIVE or not taken_over.is_set():
            await trader.trade(TOGETHER)
            await asyncio.sleep(0.1)  # not more of them than the proof needs

    trading = asyncio.create_task(trade_on())
    await taken_after(log, await log.last_sequence("ev.*.trades.>"))
    house.kill(first)
    began = time.monotonic()
    second = await leader(wire, other_than=first)
    await taken_after(log, await log.last_sequence("ev.*.trades.>"))
    takeover = time.monotonic() - began
    house.start(first)  # a standby again
    taken_over.set()
    await trading

    await all_taken(log)
    views = JetStreamLatestValueStore(wire, stream=VIEWS, prefix="view")
    differences, summary = await find_differences(log, views, ignored=[TRADE_WITHOUT_FILL])
    assert differences == [], house.said()
    assert summary.pending == {}
    assert summary.entities["trades"] == trader.number
    assert second != first
    print(  # noqa: T201
        f"\npositions: {measured:,.0f} trades taken a second; takeover after kill -9 in "
        f"{takeover:.1f} s; {summary.events:,} events verified in {summary.seconds:.2f} s"
    )


async def test_positions_are_listed_and_valued_at_live_prices(
    house: House, wire: NatsConnection
) -> None:
    log = JetStreamEventLog(wire)
    market = JetStreamLatestValueStore(wire, stream=MARKET, prefix="px", live_prefix="live.px")
    valuations = JetStreamLatestValueStore(wire, stream=MARKET, prefix="mk", live_prefix="live.mk")
    await market.put("BRK%2EB", CODEC.encode(quote("110", symbol="BRK.B")))
    house.start("one")
    for number, (side, qty) in enumerate([(Side.BUY, "10"), (Side.SELL, "4")], 1):
        made = trade(side, qty, "100", "0.5", symbol="BRK.B", number=number)
        meta = EventMetadata(id=f"t{number}", correlation="test")
        place = EventSubject("alice", "trades", made.order_id)
        await log.append([EventDraft(subject=place, event=made, metadata=meta)])

    name = "alice.BRK%2EB"
    assert numbers(await valued(valuations, name, Decimal(6), Decimal(110))) == "60 -1"
    await market.put("BRK%2EB", CODEC.encode(quote("90", symbol="BRK.B", second=1)))
    assert numbers(await valued(valuations, name, Decimal(6), Decimal(90))) == "-60 -1"

    reply = await ask(wire, asked.LIST, asked.ListPositions(user_id="alice"), asked.PositionsReply)
    [one] = reply.positions
    assert PositionKey("alice", one.symbol) == ("alice", "BRK.B")
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
