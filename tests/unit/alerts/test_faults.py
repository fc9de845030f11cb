"""Bad days, by seed: the same alerts and notifications as on a good one, none twice, none missing.

`day` tells what a day is. The broken services at the end show what the comparison finds out.
"""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from services.alerts.domain import notices, rules
from services.alerts.domain.armed import Armed, ArmedRules
from services.alerts.rulebook import Rulebook
from services.alerts.watching import KEEP_SECONDS, Watch
from tapewire.events import RuleKind
from tapewire.log import new_id
from tapewire.log.memory import Faults, MemoryLog, MemoryServer
from tests import waiting
from tests.unit.alerts.day import (
    TAKEOVER_SECONDS,
    Fleet,
    Plan,
    alerts,
    check,
    day,
    live,
    notifications,
)
from tests.unit.alerts.house import Process, Tally, World, wants
from tests.unit.alerts.spec import rejected
from tests.unit.orders import virtual


@pytest.mark.parametrize("seed", range(12))
def test_one_process_that_dies_and_comes_back_on_a_rough_network(seed: int) -> None:
    check(seed, rough=True, kills=2)


@pytest.mark.parametrize("seed", range(100, 112))
def test_a_standby_takes_over_again_and_again_on_a_rough_network(seed: int) -> None:
    check(seed, rough=True, standby=True, kills=2)


def test_good_days_are_worth_comparing_with() -> None:
    """Alerts of every kind, rules that were triggered again, and rules that never were."""
    tallies = [live(seed) for seed in range(12)]
    kinds = {tally.rules[one.rule_id or ""].kind for tally in tallies for one in tally.alerts}
    assert kinds == set(RuleKind)
    for tally in tallies:
        tally.check()
        triggered = [one.rule_id for one in tally.alerts]
        assert len(set(triggered)) < len(triggered)
    assert sum(len(set(tally.rules)) for tally in tallies) == 120
    assert any(len({one.rule_id for one in tally.alerts}) < 10 for tally in tallies)


@pytest.mark.parametrize("seed", range(200, 206))
def test_two_that_both_believe_to_hold_the_lease_tell_nothing_twice(seed: int) -> None:
    async def work() -> Tally:
        server = MemoryServer()
        fleet, world = Fleet(server, seed, rough=True, standby=True), World(server)
        playing = asyncio.create_task(day(Plan(seed), fleet, world, kills=0))
        await waiting.until("two processes", lambda: len(fleet.living) == 2)
        fleet.living[1].take_over()
        return await playing

    both = virtual.run(work(), seconds=7200)
    both.check()
    good = live(seed)
    assert alerts(both) == alerts(good)
    assert notifications(both) == notifications(good)


def test_a_log_made_anew_voids_what_was_known_of_the_old_one() -> None:
    async def work() -> None:
        server = MemoryServer()
        world, process = World(server), await Process(server).start()
        await world.quotes("100")
        await process.create(wants(price="105"), "old")
        await process.create(wants(price="200"), "old and far away")
        await process.create(wants(RuleKind.ORDER_REJECTED), "old too")
        server.recreate()
        other = await Process(server).start(lease=False)
        await other.create(wants(price="104"), "new")
        await asyncio.sleep(10)
        await world.quotes("106")
        await world.happens(rejected())
        seen = await world.sees("two tellings", lambda seen: len(seen.notifications) == 2)
        assert [one.message for one in seen.alerts] == ["IBM is at 106, above 104"]
        assert list(process.watch._judge._armed) == []
        for one in (process, other):
            one.check()
            await one.kill()

    virtual.run(work())


def test_no_price_between_two_holders_is_missed() -> None:
    """A spike while nobody holds the lease: the standby saw it, and says so when it takes over."""

    async def work() -> None:
        server = MemoryServer()
        world, holder = World(server), await Process(server).start()
        standby = await Process(server).start(lease=False)
        await world.quotes("100")
        await holder.create(wants(price="105"))
        await asyncio.sleep(5)
        await holder.kill()
        await world.quotes("106")
        await world.quotes("100")
        await asyncio.sleep(TAKEOVER_SECONDS)
        assert (await world.tally()).alerts == []
        standby.take_over()
        seen = await world.sees("the alert", lambda seen: seen.alerts)
        assert seen.alerts[0].message == "IBM is at 106, above 105"
        standby.check()
        await standby.kill()

    virtual.run(work())


def test_a_standby_forgets_what_the_holder_has_said() -> None:
    """What both saw is the holder's to say; a standby that remembered it all would only grow."""

    async def work() -> None:
        server = MemoryServer()
        world, holder = World(server), await Process(server).start()
        standby = await Process(server).start(lease=False)
        await world.quotes("100")
        for number in range(5):
            await holder.create(wants(price="105"), f"rule {number}")
        await asyncio.sleep(5)
        await holder.kill()
        await world.quotes("106")
        await waiting.until("it saw all", lambda: len(standby.watch._hits) == 5)
        holder = await Process(server).start()
        await waiting.until("another has said it", lambda: not standby.watch._hits)
        assert len((await world.tally()).alerts) == 5
        for one in (holder, standby):
            one.check()
            await one.kill()

    virtual.run(work())


def test_moves_outlive_all_processes() -> None:
    async def work() -> None:
        server = MemoryServer()
        world, process = World(server), await Process(server).start()
        await world.quotes("100")
        await process.create(wants(RuleKind.PERCENT_MOVE, percent="5", window=600))
        await asyncio.sleep(2 * KEEP_SECONDS)
        await process.kill()
        await world.quotes("104")
        process = await Process(server).start()
        await asyncio.sleep(KEEP_SECONDS)
        await world.quotes("105")
        seen = await world.sees("the alert", lambda seen: seen.alerts)
        assert seen.alerts[0].message == "IBM moved +5.00 % from 100 to 105 in 600 s"
        process.check()
        await process.kill()

    virtual.run(work())


async def judges_without_the_rules(_book: Rulebook, _sequence: int) -> None:
    """An event is judged by whatever rules are known by chance."""


@pytest.mark.parametrize("broken", [False, True])
def test_an_event_right_after_the_rule_is_judged_by_it_however_late_the_rulebook_hears(
    broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The book is deaf, and reads the log every few seconds only; events are taken at once."""
    if broken:
        monkeypatch.setattr(Rulebook, "reach", judges_without_the_rules)

    async def work() -> int:
        server = MemoryServer()
        world, process = World(server), Process(server)
        process.rulebook._log = MemoryLog(server, Faults(seed=1, lost=1.0))
        await process.start()
        await asyncio.sleep(5)
        for number in range(5):
            rule = await process.create(wants(RuleKind.ORDER_REJECTED), f"rule {number}")
            await world.happens(rejected())
            await asyncio.sleep(5)
            await process.delete(rule.rule_id)
        process.check()
        await process.kill()
        return len((await world.tally()).alerts)

    assert (virtual.run(work()) == 5) is not broken


Broken = Any
_waiting = ArmedRules.waiting


def judges_by_rules_armed_later(
    rules: Broken, user: str, kind: RuleKind, symbol: str | None, _sequence: int
) -> list[Armed]:
    return _waiting(rules, user, kind, symbol, 1 << 40)


async def forgets_the_past(_watch: Broken, _symbol: str) -> None:
    return None


def hears_of_no_rule(_watch: Broken, _rule_id: str, _armed: Armed | None) -> None:
    return None


def names_notifications_at_random(_command: Broken) -> str:
    return new_id()


def triggers_whatever_the_arming(state: Broken, command: Broken) -> Broken:
    return _trigger(state, replace(command, arming=state.arming))


_trigger = rules._trigger


@pytest.mark.parametrize(
    ("owner", "name", "broken"),
    [
        (ArmedRules, "waiting", judges_by_rules_armed_later),
        (Watch, "_learn", forgets_the_past),
        (Watch, "see", hears_of_no_rule),
        (notices, "notification_id", names_notifications_at_random),
        (rules, "_trigger", triggers_whatever_the_arming),
    ],
)
def test_a_broken_service_is_found_out(
    owner: object, name: str, broken: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {seed: live(seed) for seed in range(12)}
    monkeypatch.setattr(owner, name, broken)

    def differs(seed: int) -> bool:
        try:
            bad = live(seed, rough=True, kills=2)
            bad.check()
        except AssertionError:
            return True
        same = alerts(bad) == alerts(good[seed])
        return not same or notifications(bad) != notifications(good[seed])

    assert any(differs(seed) for seed in good)
