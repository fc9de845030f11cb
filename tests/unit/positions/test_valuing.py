"""What positions are worth: when it is told, how often, and that the last word is right."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

from services.positions.domain import Key
from services.positions.valuing import EVERY_SECONDS, Valuer
from tapewire.events import CODEC, PositionValued, Side
from tapewire.log import Unavailable, Uncertain
from tapewire.log.memory import Faults, MemoryServer, MemoryValues
from tests.unit.orders import virtual
from tests.unit.positions.house import (
    Process,
    Trader,
    settled,
    show,
    told,
    valuations,
    valued,
)
from tests.unit.positions.spec import buy, given, sell

Story = Callable[[MemoryServer, Trader, Process], Awaitable[None]]


def play(story: Story) -> None:
    """The story of a process that follows all that was traded, in a market that quotes IBM."""

    async def work() -> None:
        server = MemoryServer()
        await show(server, "100")
        process = await Process(server).start()
        await asyncio.sleep(5)
        await story(server, Trader(server), process)
        process.check()
        await process.kill()

    virtual.run(work())


class Heard:
    """Every value as it is sent, and when."""

    def __init__(self) -> None:
        self.values: list[tuple[float, PositionValued]] = []

    async def listen(self, server: MemoryServer) -> "Heard":
        await MemoryValues(server, prefix="mk").live(self._take, lambda _: None)
        return self

    def _take(self, _: str, data: bytes) -> None:
        now = asyncio.get_running_loop().time()
        self.values.append((now, CODEC.decode(data, PositionValued)))

    def said(self) -> list[str]:
        return [
            f"{one.quantity} @ {one.current_price}: {one.unrealized_pnl} + {one.realized_pnl}"
            for _, one in self.values
        ]

    def gaps(self) -> list[float]:
        times = [time for time, _ in self.values]
        return [later - time for time, later in itertools.pairwise(times)]


def test_a_position_is_valued_when_it_opens_when_it_is_quoted_and_when_it_closes() -> None:
    async def story(server: MemoryServer, trader: Trader, _: Process) -> None:
        heard = await Heard().listen(server)
        await trader.trade(Side.BUY, "10", "99", "1")
        await valued(server, "open", lambda seen: seen)
        await asyncio.sleep(2)
        await show(server, "101")
        await asyncio.sleep(2)
        await trader.trade(Side.SELL, "10", "102")
        await valued(server, "closed", lambda seen: not seen["alice.IBM"].quantity)
        await show(server, "103")
        await asyncio.sleep(5)
        assert heard.said() == ["10 @ 100: 10 + -1", "10 @ 101: 20 + -1", "0 @ 101: 0 + 29"]
        assert heard.values[-1][1].entry_price is None

    play(story)


def test_a_short_position_gains_when_the_price_falls() -> None:
    async def story(server: MemoryServer, trader: Trader, _: Process) -> None:
        await trader.trade(Side.SELL, "10", "101")
        seen = await valued(server, "open", lambda seen: seen)
        assert seen["alice.IBM"].unrealized_pnl == 10

    play(story)


def test_quotes_value_a_position_once_a_second_at_the_newest_price() -> None:
    async def story(server: MemoryServer, trader: Trader, _: Process) -> None:
        await trader.trade(Side.BUY, "10", "100")
        await valued(server, "open", lambda seen: seen)
        heard = await Heard().listen(server)
        for number in range(400):
            await show(server, f"{100 + number / 100:.2f}")
            await asyncio.sleep(0.025)
        await asyncio.sleep(2)
        assert 9 <= len(heard.values) <= 12
        assert min(heard.gaps()) >= EVERY_SECONDS - 1e-6
        assert heard.said()[-1] == "10 @ 103.99: 39.9 + 0"

    play(story)


def test_a_quote_after_a_quiet_second_is_told_at_once() -> None:
    async def story(server: MemoryServer, trader: Trader, _: Process) -> None:
        await trader.trade(Side.BUY, "10", "100")
        await asyncio.sleep(10)
        heard = await Heard().listen(server)
        began = asyncio.get_running_loop().time()
        await show(server, "105")
        await asyncio.sleep(0.5)
        assert [time - began < 0.01 for time, _ in heard.values] == [True]

    play(story)


def test_a_change_is_told_at_once_however_often() -> None:
    async def story(server: MemoryServer, trader: Trader, _: Process) -> None:
        heard = await Heard().listen(server)
        for _number in range(10):
            await trader.trade(Side.BUY, "1", "100")
            await asyncio.sleep(0.05)
        assert [one.quantity for _, one in heard.values] == [*range(1, 11)]

    play(story)


def test_a_symbol_without_a_quote_is_valued_as_soon_as_there_is_one() -> None:
    async def story(server: MemoryServer, trader: Trader, _: Process) -> None:
        await trader.trade(Side.BUY, "10", "100", symbol="BRK.B")
        await settled(server)
        await asyncio.sleep(5)
        assert await valuations(server) == {}
        await show(server, "110", "BRK.B")
        seen = await valued(server, "valued", lambda seen: seen)
        assert seen["alice.BRK%2EB"].unrealized_pnl == 100

    play(story)


def test_the_next_leader_values_what_is_open_before_anything_is_traded() -> None:
    async def story(server: MemoryServer, trader: Trader, process: Process) -> None:
        for _number in range(100):
            await trader.trade(Side.BUY, "1", "100")
        await asyncio.sleep(5)
        await process.kill()
        heard = await Heard().listen(server)
        await show(server, "101")
        other = await Process(server).start()
        await asyncio.sleep(3)
        assert heard.said() == ["100 @ 101: 100 + 0"]
        await other.kill()

    play(story)


def test_what_closed_without_a_last_value_gets_it_from_the_next_leader() -> None:
    """A process stored the closing of a position and died before it sent the value that says so;
    whoever read only values saw the position open for ever."""

    async def story(server: MemoryServer, trader: Trader, process: Process) -> None:
        await trader.trade(Side.BUY, "10", "100")
        await valued(server, "open", lambda seen: seen)
        process.valuations.kill()
        await trader.trade(Side.SELL, "10", "103")
        assert told(await settled(server))[Key("alice", "IBM")].quantity == 0
        await process.kill()
        assert (await valuations(server))["alice.IBM"].quantity == 10
        other = await Process(server).start()
        seen = await valued(server, "closed", lambda seen: not seen["alice.IBM"].quantity)
        assert seen["alice.IBM"].realized_pnl == 30
        await other.kill()

    play(story)


def test_values_of_a_log_that_was_lost_are_closed() -> None:
    async def story(server: MemoryServer, trader: Trader, process: Process) -> None:
        await trader.trade(Side.BUY, "10", "100")
        await valued(server, "open", lambda seen: seen)
        server.recreate()
        await valued(server, "closed", lambda seen: not seen["alice.IBM"].quantity)
        process.check()

    play(story)


def test_memory_is_that_of_the_open_positions() -> None:
    async def story(server: MemoryServer, trader: Trader, process: Process) -> None:
        for number in range(50):
            await trader.trade(Side.BUY, "1", "100", user=f"u{number}")
            await trader.trade(Side.SELL, "1", "100", user=f"u{number}")
            await show(server, str(100 + number % 3))
        await trader.trade(Side.BUY, "1", "100", symbol="SPY")
        await settled(server)
        await asyncio.sleep(5)
        valuer = process.valuer
        assert [*valuer._boards] == ["SPY"]
        assert (valuer._closed, len(valuer._queue)) == ({}, 0)

    play(story)


class Shaky(MemoryValues):
    """Loses the first of whatever is sent."""

    failures: int = 4

    async def post(self, key: str, data: bytes) -> None:
        self._fail(Unavailable("not now"))
        await super().post(key, data)

    async def put(self, key: str, data: bytes, *, ttl: int | None = None) -> None:
        self._fail(Uncertain("no answer"))
        await super().put(key, data, ttl=ttl)

    def _fail(self, error: Exception) -> None:
        if self.failures:
            self.failures -= 1
            raise error


async def _unknown(_: Key) -> None:
    """No position of the log."""


def test_what_could_not_be_sent_is_sent_later() -> None:
    async def story(server: MemoryServer, trader: Trader, process: Process) -> None:
        await trader.trade(Side.BUY, "10", "100")
        await settled(server)
        held = told(await settled(server))[Key("alice", "IBM")]
        shaky = Shaky(server, prefix="other")
        valuer = Valuer(shaky, process.market)
        task = asyncio.create_task(valuer.run())
        valuer.changed(Key("alice", "IBM"), held)
        valuer.caught_up(_unknown)
        await asyncio.sleep(5)
        assert (shaky.failures, [*await shaky.all()]) == (0, ["alice.IBM"])
        shaky.failures = 4
        await trader.trade(Side.SELL, "10", "100")
        valuer.changed(Key("alice", "IBM"), told(await settled(server))[Key("alice", "IBM")])
        await asyncio.sleep(5)
        closed = CODEC.decode((await shaky.all())["alice.IBM"], PositionValued)
        assert closed.quantity == 0
        task.cancel()

    play(story)


def test_on_a_bad_day_the_last_values_are_those_of_the_positions() -> None:
    async def work(seed: int) -> None:
        server = MemoryServer()
        trader = Trader(server, seed)
        faults = Faults.rough(seed)
        process = await Process(server, faults).start()
        for number in range(100):
            await trader.any()
            await show(server, str(90 + number % 20), f"S.{number % 3}")
            await asyncio.sleep(0.1)
        final = told(await settled(server))
        faults.calm()
        for symbol in range(3):
            await show(server, "100", f"S.{symbol}")
        names = {f"{key.user}.S%2E{key.symbol[-1]}": one.quantity for key, one in final.items()}
        await valued(
            server,
            "all as they are",
            lambda seen: {name: seen[name].quantity for name in seen} == names,
        )
        process.check()
        await process.kill()

    for seed in range(10):
        virtual.run(work(seed))


def test_closings_of_a_backlog_are_not_collected() -> None:
    async def story(_: MemoryServer, __: Trader, process: Process) -> None:
        valuer = Valuer(process.valuations, process.market)
        for number in range(100):
            key, history = Key(f"u{number}", "IBM"), given(buy("1", "1"))
            valuer.changed(key, history.traded.position)
            history.take(sell("1", "1"))
            valuer.changed(key, history.traded.position)
        assert (valuer._closed, valuer._boards) == ({}, {})

    play(story)
