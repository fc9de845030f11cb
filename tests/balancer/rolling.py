"""A trial: readers read and traders trade through nginx while everything behind it is restarted.

Nothing is hoped to happen while something else does: the load goes on until all is done, and every
step waits until orders were placed and everybody is connected again. Start at `conduct`.
"""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence

from tapewire.log import Recorded
from tapewire.log.jetstream import JetStreamLog, connect
from tests.balancer.fleet import Fleet
from tests.balancer.outcome import Outcome, Phase, Size
from tests.balancer.reader import Reader
from tests.balancer.verdict import PATHS, Read, Recording, latest, wanted
from tests.faults.laws import unfinished
from tests.faults.plan import USERS, Asked, order
from tests.faults.trader import Book, Trader
from tests.faults.trial import TRADERS, _errors, _eventually, _read_on
from tests.integration.edge.house import Service
from tests.waiting import until

SERVICES = ("prices", "orders", "positions", "alerts", "strategies")
SPEED = 5.0
"""Times real time: about 20 quotes a second a symbol."""
STEP_SECONDS = 180.0
"""How long a step may take until orders are placed again and everybody is connected."""
STOP_SECONDS = 60.0
AWAY = frozenset({502, 503, 504})
"""What says to a trader: ask again. 502 and 504 are nginx's own."""


async def conduct(fleet: Fleet, size: Size, seed: int) -> Outcome:
    """Carry it out. Raises AssertionError when it cannot be."""
    trial = _Trial(fleet, size, seed)
    await trial.run()
    return trial.outcome()


class _Trial:
    def __init__(self, fleet: Fleet, size: Size, seed: int) -> None:
        self._fleet, self._size, self._seed = fleet, size, seed
        self._book = Book()
        self._readers: list[Reader] = []
        self._services: dict[str, Service] = {}
        self._phases: list[Phase] = []
        self._over = False
        self._epoch = ""
        self._events: list[Recorded] = []

    async def run(self) -> None:
        for name in SERVICES:
            await self._start(name)
        cookies = {user: await self._fleet.sign_in(user) for user in USERS}
        self._readers = [
            Reader(self._fleet.url, number, user, path, cookies[user])
            for number, (path, user) in zip(
                range(self._size.readers),
                itertools.cycle(itertools.product(PATHS, USERS)),
                strict=False,
            )
        ]
        async with asyncio.TaskGroup() as group:
            reading = [group.create_task(reader.run()) for reader in self._readers]
            async with asyncio.TaskGroup() as flowing:
                for trader in self._traders(cookies):
                    flowing.create_task(trader.run())
                await self._settled()
                await self._phase("undisturbed", self._nothing)
                await self._phase("every edge restarted, one after another", self._edges)
                await self._phase("an edge killed", self._killed)
                await self._phase("edges, services and the message server restarted", self._all)
                self._over = True
            await self._at_rest()
            for task in reading:
                task.cancel()

    def outcome(self) -> Outcome:
        recording = Recording(
            epoch=self._epoch,
            events=self._events,
            readers=[
                Read(
                    number=one.number,
                    user=one.user,
                    path=one.path,
                    history=one.history,
                    arrivals=one.arrivals,
                    refused=one.refused.total(),
                )
                for one in self._readers
            ],
            placed=self._book.placed,
            errors=_errors(self._fleet.house.log_text()),
        )
        for phase in self._phases:
            phase.late = latest(recording, phase.began, phase.ended)
        return Outcome(
            seed=self._seed,
            edges=len(self._fleet.edges),
            recording=recording,
            phases=self._phases,
        )

    # The load

    def _traders(self, cookies: dict[str, str]) -> Iterator[Trader]:
        mean = TRADERS * len(USERS) / self._size.rate
        for place, user in enumerate(USERS):
            for number in range(TRADERS):
                chance = random.Random(f"trader {user} {number} {self._seed}")
                numbers = itertools.count(number * len(USERS) + place, TRADERS * len(USERS))
                orders = self._orders(chance, numbers)
                yield Trader(self._fleet.url, orders, cookies[user], self._book, chance, mean, AWAY)

    def _orders(self, chance: random.Random, numbers: Iterator[int]) -> Iterator[Asked]:
        """Until all is over: an order of that number is its user's."""
        return itertools.takewhile(
            lambda _: not self._over, (order(chance, number) for number in numbers)
        )

    # The steps

    async def _phase(self, name: str, steps: Callable[[], Awaitable[None]]) -> None:
        for reader in self._readers:
            reader.silence = 0.0
        before = sum((reader.ends for reader in self._readers), Counter[str]())
        refused = sum(reader.refused.total() for reader in self._readers)
        again = Counter(self._book.again)
        phase = Phase(name=name, began=time.time(), ends=Counter(), again=Counter())
        await steps()
        await self._settled()
        phase.ended = time.time()
        phase.silence = max(reader.silence for reader in self._readers)
        phase.ends = sum((reader.ends for reader in self._readers), Counter[str]()) - before
        phase.refused = sum(reader.refused.total() for reader in self._readers) - refused
        phase.again = self._book.again - again
        self._phases.append(phase)

    async def _settled(self) -> None:
        """Wait until so many more orders are placed, and everybody is connected."""
        upto = len(self._book.placed) + self._size.step
        await until(
            f"{upto} orders are placed",
            lambda: len(self._book.placed) >= upto,
            seen=lambda: (len(self._book.placed), self._book.again),
            seconds=STEP_SECONDS,
        )
        await until(
            "every reader is connected",
            lambda: all(reader.connected for reader in self._readers),
            seen=lambda: [one.number for one in self._readers if not one.connected],
            seconds=STEP_SECONDS,
        )

    async def _nothing(self) -> None:
        await self._settled()

    async def _edges(self) -> None:
        for number in range(len(self._fleet.edges)):
            await self._restart_edge(number)
            await self._settled()

    async def _killed(self) -> None:
        self._fleet.edges[0].kill()
        await self._settled()
        self._fleet.begin(0)
        await self._ready(self._fleet.edges[0])

    async def _all(self) -> None:
        """The message server goes while an edge and a service stop, and is back for the next."""
        half = len(SERVICES) // 2
        for name in SERVICES[:half]:
            await self._restart(name)
            await self._settled()
        self._fleet.edges[0].terminate()
        self._services[SERVICES[half]].terminate()
        self._fleet.house.broker.kill()
        await self._ended(self._fleet.edges[0])
        await self._ended(self._services[SERVICES[half]])
        await asyncio.to_thread(self._fleet.house.broker.start)
        self._fleet.begin(0)
        await self._ready(self._fleet.edges[0])
        await self._start(SERVICES[half])
        await self._settled()
        for name in SERVICES[half + 1 :]:
            await self._restart(name)
            await self._settled()
        for number in range(1, len(self._fleet.edges)):
            await self._restart_edge(number)
            await self._settled()

    async def _restart_edge(self, number: int) -> None:
        self._fleet.edges[number].terminate()
        await self._ended(self._fleet.edges[number])
        self._fleet.begin(number)
        await self._ready(self._fleet.edges[number])

    async def _restart(self, name: str) -> None:
        self._services[name].terminate()
        await self._ended(self._services[name])
        await self._start(name)

    async def _start(self, name: str) -> None:
        start = self._fleet.house.service
        self._services[name] = await asyncio.to_thread(start, name, TAPEWIRE_SPEED=SPEED)

    async def _ready(self, service: Service) -> None:
        await asyncio.to_thread(service.wait_ready)

    async def _ended(self, service: Service) -> None:
        code = await asyncio.to_thread(service.process.wait, STOP_SECONDS)
        assert code == 0, f"{service.name} ended with {code}: {service.log.read_text()[-3000:]}"

    # The end

    async def _at_rest(self) -> None:
        """Read the log when no order changes any more and every reader is at its end."""
        wire = await connect(self._fleet.house.broker.url, "balancer")
        try:
            log = JetStreamLog(wire)

            async def finished() -> bool:
                await _read_on(log, self._events)
                return not unfinished(self._events, self._book.placed)

            async def read() -> bool:
                await _read_on(log, self._events)
                return not self._behind()

            await _eventually(
                "every order is where it must be in the end",
                finished,
                seen=lambda: unfinished(self._events, self._book.placed)[:5],
            )
            await _eventually("every reader is at the end of the log", read, seen=self._behind)
            self._epoch = (await log.bounds()).epoch
        finally:
            await wire.close()

    def _behind(self) -> Sequence[str]:
        lasts = {
            (user, path): max((at for at, _ in wanted(self._events, user, path)), default=0)
            for user in USERS
            for path in PATHS
        }
        return [
            f"reader {one.number} ({one.path}) at {one.last_id}, not {lasts[one.user, one.path]}"
            for one in self._readers
            if int((one.last_id or "-0").rpartition("-")[2]) < lasts[one.user, one.path]
        ]
