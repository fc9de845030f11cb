"""Taking trades on the log in memory: what is stored, how often, in which order."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal

import pytest

from services.positions.domain import Key, Traded
from services.positions.ledger import Ledger
from services.positions.taking import CHECKPOINT, Taker
from tapewire.events import (
    CODEC,
    PositionClosed,
    PositionEvent,
    PositionOpened,
    Side,
    TradeExecuted,
)
from tapewire.log import EVERYBODY, Draft, Meta, Recorded, Subject
from tapewire.log.follower import CHECKPOINT_EVENTS
from tapewire.log.memory import MemoryLog, MemoryServer, MemoryValues
from tests.unit.orders import virtual
from tests.unit.positions.house import Process, Trader, fold, settled, stored, told
from tests.unit.positions.spec import buy, given, trade

Story = Callable[[MemoryServer, Trader], Awaitable[None]]


def play(story: Story) -> None:
    async def work() -> None:
        server = MemoryServer()
        await story(server, Trader(server))

    virtual.run(work())


def positions(events: list[Recorded]) -> list[Recorded]:
    return [one for one in events if isinstance(one.event, PositionEvent)]


def test_trades_become_positions() -> None:
    async def story(server: MemoryServer, trader: Trader) -> None:
        process = await Process(server).start()
        await trader.trade(Side.BUY, "10", "100", "1")
        await trader.trade(Side.SELL, "4", "105")
        await trader.trade(Side.SELL, "1", "50", user="bob", symbol="BRK.B")
        final = told(await settled(server))
        assert final[Key("alice", "IBM")].realized_pnl == 19
        assert final[Key("bob", "BRK.B")].quantity == -1
        await process.kill()

    play(story)


def test_an_event_carries_what_its_trade_carried_and_an_id_that_follows_from_it() -> None:
    async def story(server: MemoryServer, trader: Trader) -> None:
        await trader.trade(Side.BUY, "10", "100")
        await trader.trade(Side.SELL, "15", "100")
        process = await Process(server).start()
        events = await settled(server)
        assert [
            (one.meta.id, one.meta.causation, one.meta.correlation, one.meta.traceparent)
            for one in positions(events)
        ] == [
            ("trade-1.1.0", "trade-1", "of-trade-1", "00-trade-1"),
            ("trade-2.2.0", "trade-2", "of-trade-2", "00-trade-2"),
            ("trade-2.2.1", "trade-2", "of-trade-2", "00-trade-2"),
        ]
        await process.kill()

    play(story)


class Watched(MemoryLog):
    """Counts what is appended together."""

    def __init__(self, server: MemoryServer) -> None:
        super().__init__(server)
        self.appends: list[list[Draft]] = []

    async def append(self, drafts: Sequence[Draft]) -> int:
        self.appends.append([*drafts])
        return await super().append(drafts)


def test_going_through_zero_is_one_append() -> None:
    async def story(server: MemoryServer, trader: Trader) -> None:
        await trader.trade(Side.BUY, "10", "100")
        log = Watched(server)
        ledger = Ledger(log)
        await ledger.take(await stored(server))
        await trader.trade(Side.SELL, "15", "100")
        await ledger.take((await stored(server, "ev.*.trades.>"))[1:])
        assert [type(draft.event) for draft in log.appends[1]] == [PositionClosed, PositionOpened]
        assert [draft.expect for draft in log.appends[1]] == [2, None]

    play(story)


def test_a_page_of_trades_is_one_append_that_expects_of_each_position_once() -> None:
    async def story(server: MemoryServer, trader: Trader) -> None:
        for _ in range(100):
            await trader.any()
        log = Watched(server)
        ledger = Ledger(log)
        await ledger.take(await stored(server))
        [drafts] = log.appends
        events = await stored(server)
        assert told(events) == fold(events)
        expected = [str(draft.subject) for draft in drafts if draft.expect is not None]
        assert sorted(expected) == sorted({str(draft.subject) for draft in drafts})
        await trader.any()
        await ledger.take((await stored(server, "ev.*.trades.>"))[-1:])
        assert len(log.appends) == 2, "it knows where each position ends"

    play(story)


def test_taking_again_changes_nothing() -> None:
    async def story(server: MemoryServer, trader: Trader) -> None:
        for _ in range(50):
            await trader.any()
        trades = await stored(server)
        one, other = Ledger(MemoryLog(server)), Ledger(MemoryLog(server))
        first = await one.take(trades)
        before = len(await stored(server))
        assert await one.take(trades) == first
        assert await other.take(trades) == first
        assert len(await stored(server)) == before

    play(story)


def test_two_at_once_store_everything_once() -> None:
    async def story(server: MemoryServer, trader: Trader) -> None:
        processes = [await Process(server).start() for _ in range(3)]
        for _ in range(300):
            await trader.any()
            await asyncio.sleep(0.01)
        events = await settled(server)
        sequences = [
            (one.place, one.event.trade_sequence, type(one.event))
            for one in positions(events)
            if isinstance(one.event, PositionEvent)
        ]
        assert len(sequences) == len(set(sequences))
        for process in processes:
            process.check()
            await process.kill()

    play(story)


def test_trades_of_which_nothing_can_be_made_are_passed_over() -> None:
    async def story(server: MemoryServer, trader: Trader) -> None:
        process = await Process(server).start()
        await trader.append("alice", trade(Side.BUY, "0", "100", number=1), "none")
        await trader.append("alice", trade(Side.BUY, "1e9999", "100", number=2), "all")
        await trader.append("alice", trade(Side.BUY, "1", "100", symbol="", number=3), "what")
        await MemoryLog(server).append([foreign()])
        await trader.trade(Side.BUY, "10", "100")
        await asyncio.sleep(5)
        process.check()
        assert told(await stored(server))[Key("alice", "IBM")].quantity == 10
        await process.kill()

    play(story)


def foreign() -> Draft:
    """An event that is no trade, on a subject of trades."""
    event = given(buy("1", "1")).events[0]
    return Draft(
        subject=Subject("alice", "trades", "odd"), event=event, meta=Meta(id="odd", correlation="c")
    )


def test_an_open_position_is_remembered_by_the_checkpoint_and_a_closed_one_is_not() -> None:
    async def story(server: MemoryServer, trader: Trader) -> None:
        for _ in range(CHECKPOINT_EVENTS):
            await trader.trade(Side.BUY, "1", "100")
        await trader.trade(Side.BUY, "1", "100", symbol="SPY")
        await trader.trade(Side.SELL, "1", "101", symbol="SPY")
        process = await Process(server).start()
        await settled(server)
        await asyncio.sleep(5)
        views = MemoryValues(server, stream="VIEWS", prefix="view")
        data = await views.get(f"{EVERYBODY}.{CHECKPOINT}")
        assert data is not None
        ledger = Ledger(process.log)
        Taker(ledger, process.valuer).restore(CODEC.encode(CODEC.decode(data, dict)["state"]))
        [(key, known)] = ledger.open().items()
        assert key == Key("alice", "IBM")
        assert isinstance(known.state, Traded)
        assert known == await Ledger(MemoryLog(server)).load(key)
        assert known.state.position.quantity == CHECKPOINT_EVENTS
        await process.kill()

    play(story)


@pytest.mark.parametrize("state", [b"1", b'"?"', b'"e30="', b"[]", b'"eJyLrgUAARUAuQ=="'])
def test_what_is_no_checkpoint_is_refused_whole(state: bytes) -> None:
    async def story(server: MemoryServer, _: Trader) -> None:
        process = Process(server)
        ledger = Ledger(process.log)
        with pytest.raises(ValueError, match=r"."):
            Taker(ledger, process.valuer).restore(state)
        assert ledger.open() == {}

    play(story)


def test_a_checkpoint_comes_back_as_it_was() -> None:
    async def story(server: MemoryServer, trader: Trader) -> None:
        for _ in range(200):
            await trader.any(users=10, symbols=10)
        process, other = Process(server), Process(server)
        ledger, again = Ledger(process.log), Ledger(other.log)
        taker = Taker(ledger, process.valuer)
        await taker.take(await stored(server))
        Taker(again, other.valuer).restore(taker.save())
        assert again.open() == ledger.open()
        assert len(ledger.open()) > 20

    play(story)


def test_closed_positions_are_remembered_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.positions.ledger.CLOSED_KEPT", 5)

    async def story(server: MemoryServer, trader: Trader) -> None:
        for number in range(20):
            await trader.trade(Side.BUY, "1", "100", symbol=f"S{number}")
            await trader.trade(Side.SELL, "1", "101", symbol=f"S{number}")
        await trader.trade(Side.BUY, "1", "100", symbol="S3")
        ledger = Ledger(MemoryLog(server))
        await ledger.take(await stored(server))
        assert len(ledger._closed) == 5
        assert [*ledger.open()] == [Key("alice", "S3")]
        await trader.trade(Side.BUY, "1", "100", symbol="S0")
        final = await ledger.take((await stored(server, "ev.*.trades.>"))[-1:])
        assert final[Key("alice", "S0")].realized_pnl == Decimal(1)

    play(story)


def test_a_log_made_anew_begins_positions_anew() -> None:
    async def story(server: MemoryServer, trader: Trader) -> None:
        process = await Process(server).start()
        await trader.trade(Side.BUY, "10", "100")
        await settled(server)
        server.recreate()
        await trader.trade(Side.BUY, "3", "100")
        events = await settled(server)
        assert told(events)[Key("alice", "IBM")].quantity == 3
        process.check()
        await process.kill()

    play(story)


def test_what_orders_store_is_what_positions_take() -> None:
    """The filter of the follower takes the subject that executions are stored under."""

    async def story(server: MemoryServer, trader: Trader) -> None:
        await trader.trade(Side.BUY, "1", "2", user="a.b*c>", symbol="BRK.B")
        process = await Process(server).start()
        events = await settled(server)
        assert [*told(events)] == [Key("a.b*c>", "BRK.B")]
        assert isinstance(events[0].event, TradeExecuted)
        await process.kill()

    play(story)


def test_one_that_slept_until_the_server_forgot_all_ids_stores_nothing_twice() -> None:
    async def story(server: MemoryServer, trader: Trader) -> None:
        await trader.trade(Side.BUY, "10", "100")
        sleeper, other = Ledger(MemoryLog(server)), Ledger(MemoryLog(server))
        await sleeper.take(await stored(server))
        for _ in range(3):
            await trader.trade(Side.SELL, "15", "100")
        trades = await stored(server, "ev.*.trades.>")
        await other.take(trades)
        before = await stored(server)
        await asyncio.sleep(600)
        await sleeper.take(trades)
        assert len(await stored(server)) == len(before)
        assert told(before) == fold(before)

    play(story)
