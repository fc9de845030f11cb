"""A day of alerts, told by a seed: rules, prices, events, who dies when; and two days compared.

A story is a number of rounds. In each the price goes somewhere and stays, some rules are armed
again, and things happen to orders and strategies at once. Meanwhile processes die and the network
is rough. `check` compares everything that users were told with a good day, to the word.
"""

import asyncio
import random
from collections.abc import Callable

import msgspec

from services.alerts.watching import KEEP_SECONDS
from tapewire.events import Event, RuleKind
from tapewire.log.memory import Faults, MemoryServer
from tapewire.runtime.contracts.alerts import CreateRule
from tests.unit.alerts.house import Process, Tally, World, wants
from tests.unit.alerts.spec import failed, filled, rejected, stop_loss, strategy_failed
from tests.unit.orders import virtual

ROUNDS = 5
QUIET_SECONDS = 4 * KEEP_SECONDS
TAKEOVER_SECONDS = 4.0

EVENTS: list[tuple[Callable[[], Event], str]] = [
    (rejected, "orders"),
    (filled, "orders"),
    (failed, "orders"),
    (strategy_failed, "strategies"),
    (stop_loss, "strategies"),
]


class Plan:
    """A story, all of which follows from the seed."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self.rules = [self._rule(chance) for _ in range(10)]
        self.prices = [str(chance.randrange(90, 111)) for _ in range(ROUNDS)]
        self.events = [chance.choices(EVENTS, k=chance.randrange(9)) for _ in range(ROUNDS)]
        self.armings = [chance.sample(range(10), 5) for _ in range(ROUNDS)]

    def _rule(self, chance: random.Random) -> CreateRule:
        kind = chance.choice(list(RuleKind))
        user = chance.choice(["alice", "bob"])
        if kind in (RuleKind.PRICE_ABOVE, RuleKind.PRICE_BELOW):
            return wants(kind, price=str(chance.randrange(92, 109)), user=user)
        if kind is RuleKind.PERCENT_MOVE:
            percent = str(chance.randrange(2, 20))
            return wants(kind, percent=percent, window=86_400, user=user)
        return wants(kind, symbol=chance.choice([None, "IBM", "SPY"]), user=user)


class Fleet:
    """The processes of a day: a holder of the leases, perhaps a standby."""

    def __init__(self, server: MemoryServer, seed: int, *, rough: bool, standby: bool) -> None:
        self._server = server
        self._seed = seed * 1000
        self._rough = rough
        self._standby = standby
        self.chance = random.Random(seed)
        self.living: list[Process] = []

    async def begin(self) -> None:
        self.living = [await self._new(lease=True)]
        if self._standby:
            self.living.append(await self._new(lease=False))

    async def lose_the_holder(self) -> None:
        """It is killed; who stands by takes over after a while, or another one is started."""
        await self.living.pop(0).kill()
        await asyncio.sleep(self.chance.uniform(0, TAKEOVER_SECONDS))
        if self.living:
            self.living[0].take_over()
            self.living.append(await self._new(lease=False))
        else:
            self.living = [await self._new(lease=True)]

    async def end(self) -> None:
        for process in self.living:
            process.check()
            await process.kill()

    async def _new(self, *, lease: bool) -> Process:
        self._seed += 1
        faults = Faults.rough(self._seed) if self._rough else None
        return await Process(self._server, faults).start(lease=lease)


async def day(plan: Plan, fleet: Fleet, world: World, *, kills: int) -> Tally:
    """Play the plan; what the log says at its end."""
    await world.quotes("100")
    await fleet.begin()
    price = ["100"]
    feed = asyncio.create_task(_feed(world, price))
    ids = []
    for number, rule in enumerate(plan.rules):
        made = await fleet.living[-1].create(rule, f"create-{number}")
        ids.append(made.rule_id)
    await asyncio.sleep(QUIET_SECONDS)
    for round_ in range(ROUNDS):
        price[0] = plan.prices[round_]
        await _kill(fleet, kills if round_ % 2 == 0 else 0)
        await asyncio.sleep(QUIET_SECONDS)
        for number in plan.armings[round_]:
            user = plan.rules[number].user_id
            await fleet.living[0].arm(ids[number], f"arm-{round_}-{number}", user)
        killing = asyncio.create_task(_kill(fleet, kills if round_ % 2 == 1 else 0))
        for make, domain in plan.events[round_]:
            for user in ("alice", "bob"):
                await world.happens(make(), user, domain)
            await asyncio.sleep(fleet.chance.choice([0, 0.01, 1]))
        await killing
        await asyncio.sleep(QUIET_SECONDS)
    feed.cancel()
    await fleet.end()
    return await world.tally()


async def _feed(world: World, price: list[str]) -> None:
    while True:
        await world.quotes(price[0])
        await asyncio.sleep(0.5)


async def _kill(fleet: Fleet, times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(fleet.chance.uniform(0, 3))
        await fleet.lose_the_holder()


def live(seed: int, *, rough: bool = False, standby: bool = False, kills: int = 0) -> Tally:
    server = MemoryServer()
    work = day(
        Plan(seed),
        Fleet(server, seed, rough=rough, standby=standby),
        World(server),
        kills=kills,
    )
    return virtual.run(work, seconds=7200)


def alerts(tally: Tally) -> list[tuple[str, str, str]]:
    return sorted((one.alert_id, one.level.value, one.message) for one in tally.alerts)


def notifications(tally: Tally) -> list[bytes]:
    """All of them, but for what they are called and when."""
    said = [(one.type, one.title, one.message, one.payload) for one in tally.notifications]
    return sorted(msgspec.json.encode(one, order="sorted") for one in said)


def check(seed: int, **trouble: object) -> int:
    """Compare a bad day with a good one; how many alerts that was."""
    good, bad = live(seed), live(seed, **trouble)  # type: ignore[arg-type]
    bad.check()
    assert alerts(bad) == alerts(good)
    assert notifications(bad) == notifications(good)
    return len(good.alerts)
