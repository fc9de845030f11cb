"""Scenarios with faults give the same alerts and notifications as without, each exactly once.

`random_scenario` runs the scenarios. The planted faults at the end show what the comparison
detects.
"""

import asyncio
from typing import Any

import pytest

from tapewire.events import RuleKind
from tapewire.log import CommandHandler, new_id
from tapewire.log.memory import Faults, MemoryEventLog, MemoryServer
from tapewire.runtime.contracts.alerts import CreateRule
from tapewire_services.alerts.armed_rule_index import RULES_FILTER, ArmedRuleIndex
from tapewire_services.alerts.domain import notifications
from tapewire_services.alerts.domain.armed_rules import ArmedRule, ArmedRulesProjection
from tapewire_services.alerts.price_monitor import SAVE_INTERVAL_SECONDS, PriceMonitor
from tests.harness import virtual_time, waiting
from tests.harness.erasures import append_erasure, held_pages
from tests.unit.alerts.harness import (
    AlertsEnvironment,
    AlertsLogSummary,
    AlertsProcess,
    create_rule_request,
)
from tests.unit.alerts.random_scenario import (
    MAX_TAKEOVER_SECONDS,
    AlertsProcesses,
    ScenarioPlan,
    alert_facts,
    assert_faults_change_nothing,
    notification_facts,
    run_plan,
    run_random_scenario,
    run_without_faults,
)
from tests.unit.alerts.spec import USER, order_rejected

pytestmark = pytest.mark.virtual_time


@pytest.mark.parametrize("seed", range(12))
def test_restarts_on_a_bad_network_change_nothing(seed: int) -> None:
    assert_faults_change_nothing(seed, rough=True, kills=2)


@pytest.mark.parametrize("seed", range(100, 112))
def test_takeovers_on_a_bad_network_change_nothing(seed: int) -> None:
    assert_faults_change_nothing(seed, rough=True, standby=True, kills=2)


def test_scenarios_without_faults_cover_every_kind_of_rule() -> None:
    """There are alerts of every kind, rules that triggered again, and rules that never did."""
    summaries = [run_without_faults(seed) for seed in range(12)]
    kinds = {
        summary.rules[one.rule_id or ""].kind for summary in summaries for one in summary.alerts
    }
    assert kinds == set(RuleKind)
    for summary in summaries:
        triggered = [one.rule_id for one in summary.alerts]
        assert len(set(triggered)) < len(triggered)
    assert sum(len(set(summary.rules)) for summary in summaries) == 120
    assert any(len({one.rule_id for one in summary.alerts}) < 10 for summary in summaries)


async def run_two_holders(seed: int) -> AlertsLogSummary:
    """Run a scenario in which both processes believe that they hold the leases."""
    server = MemoryServer()
    processes = AlertsProcesses(server, seed, rough=True, standby=True)
    environment = AlertsEnvironment(server)
    playing = asyncio.create_task(
        run_plan(ScenarioPlan(seed), processes, environment, kill_count=0)
    )
    await waiting.wait_until("two processes", lambda: len(processes.running) == 2)
    processes.running[1].acquire_leases()
    return await playing


@pytest.mark.parametrize("seed", range(200, 206))
def test_two_lease_holders_at_once_change_nothing(seed: int) -> None:
    both = virtual_time.run(run_two_holders(seed), seconds=7200)
    good = run_without_faults(seed)
    assert alert_facts(both) == alert_facts(good)
    assert notification_facts(both) == notification_facts(good)


async def test_a_recreated_log_voids_the_rules_of_the_old_one() -> None:
    server = MemoryServer()
    environment, process = AlertsEnvironment(server), await AlertsProcess(server).start()
    await environment.publish_price("100")
    await process.create_rule(create_rule_request(price="105"), "old")
    await process.create_rule(create_rule_request(price="200"), "old and far away")
    await process.create_rule(create_rule_request(RuleKind.ORDER_REJECTED), "old too")
    server.recreate()
    other = await AlertsProcess(server).start(holds_lease=False)
    await other.create_rule(create_rule_request(price="104"), "new")
    await asyncio.sleep(10)
    await environment.publish_price("106")
    await environment.append_event(order_rejected())
    seen = await environment.wait_for_log(
        "two notifications", lambda seen: len(seen.notifications) == 2
    )
    assert [one.message for one in seen.alerts] == ["IBM is at 106, above 104"]
    assert list(process.price_monitor._evaluator._armed_by_id) == []
    for one in (process, other):
        one.raise_task_errors()
        await one.kill()


async def test_a_price_between_two_lease_holders_is_not_missed() -> None:
    """The price spikes while no process holds the lease; the standby triggers the rule later."""
    server = MemoryServer()
    environment, holder = AlertsEnvironment(server), await AlertsProcess(server).start()
    standby = await AlertsProcess(server).start(holds_lease=False)
    await environment.publish_price("100")
    await holder.create_rule(create_rule_request(price="105"))
    await asyncio.sleep(5)
    await holder.kill()
    await environment.publish_price("106")
    await environment.publish_price("100")
    await asyncio.sleep(MAX_TAKEOVER_SECONDS)
    assert (await environment.read_log_summary()).alerts == []
    standby.acquire_leases()
    seen = await environment.wait_for_log("the alert", lambda seen: seen.alerts)
    assert seen.alerts[0].message == "IBM is at 106, above 105"
    standby.raise_task_errors()
    await standby.kill()


async def test_a_standby_drops_hits_that_the_lease_holder_has_triggered() -> None:
    """Both processes evaluate all prices. A standby that kept its hits would only grow."""
    server = MemoryServer()
    environment, holder = AlertsEnvironment(server), await AlertsProcess(server).start()
    standby = await AlertsProcess(server).start(holds_lease=False)
    await environment.publish_price("100")
    for number in range(5):
        await holder.create_rule(create_rule_request(price="105"), f"rule {number}")
    await asyncio.sleep(5)
    await holder.kill()
    await environment.publish_price("106")
    await waiting.wait_until(
        "the standby has all hits", lambda: len(standby.price_monitor._pending_hits) == 5
    )
    holder = await AlertsProcess(server).start()
    await waiting.wait_until(
        "the standby dropped its hits", lambda: not standby.price_monitor._pending_hits
    )
    assert len((await environment.read_log_summary()).alerts) == 5
    for one in (holder, standby):
        one.raise_task_errors()
        await one.kill()


async def test_past_prices_survive_the_end_of_all_processes() -> None:
    server = MemoryServer()
    environment, process = AlertsEnvironment(server), await AlertsProcess(server).start()
    await environment.publish_price("100")
    await process.create_rule(
        create_rule_request(RuleKind.PERCENT_MOVE, percent="5", window_seconds=600)
    )
    await asyncio.sleep(2 * SAVE_INTERVAL_SECONDS)
    await process.kill()
    await environment.publish_price("104")
    process = await AlertsProcess(server).start()
    await asyncio.sleep(SAVE_INTERVAL_SECONDS)
    await environment.publish_price("105")
    seen = await environment.wait_for_log("the alert", lambda seen: seen.alerts)
    assert seen.alerts[0].message == "IBM moved +5.00 % from 100 to 105 in 600 s"
    process.raise_task_errors()
    await process.kill()


async def skip_waiting_for_rules(_book: ArmedRuleIndex, _sequence: int) -> None:
    """A planted fault: events are matched with whatever rules are known."""


@pytest.mark.parametrize("broken", [False, True])
async def test_an_event_right_after_its_rule_triggers_it_however_late_the_index_is(
    broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index receives no notifications and reads the log only every few seconds."""
    if broken:
        monkeypatch.setattr(ArmedRuleIndex, "wait_until_applied", skip_waiting_for_rules)

    server = MemoryServer()
    environment, process = AlertsEnvironment(server), AlertsProcess(server)
    deaf_log = MemoryEventLog(server, Faults(seed=1, lost_message_rate=1.0))
    process.armed_rules.subscription._log = deaf_log
    await process.start()
    await asyncio.sleep(5)
    for number in range(5):
        rule = await process.create_rule(
            create_rule_request(RuleKind.ORDER_REJECTED), f"rule {number}"
        )
        await environment.append_event(order_rejected())
        await asyncio.sleep(5)
        await process.delete_rule(rule.rule_id)
    process.raise_task_errors()
    await process.kill()
    assert (len((await environment.read_log_summary()).alerts) == 5) is not broken


Untyped = Any
_find_triggered = ArmedRulesProjection.find_triggered


def find_triggered_by_later_rules(
    rules: Untyped, user: str, kind: RuleKind, symbol: str | None, _sequence: int
) -> list[ArmedRule]:
    return _find_triggered(rules, user, kind, symbol, 1 << 40)


async def skip_loading_extremes(_watch: Untyped, _symbol: str) -> None:
    return None


def ignore_rule_changes(_watch: Untyped, _rule_id: str, _armed: ArmedRule | None) -> None:
    return None


def random_notification_id(_command: Untyped) -> str:
    return new_id()


async def decide_on_any_state(
    handler: Untyped, _subject: Untyped, current: Untyped, command: Untyped
) -> Untyped:
    return current, handler._decider.decide(current.state, command)


@pytest.mark.parametrize(
    ("owner", "name", "broken"),
    [
        (ArmedRulesProjection, "find_triggered", find_triggered_by_later_rules),
        (PriceMonitor, "_load_extremes", skip_loading_extremes),
        (PriceMonitor, "on_rule_changed", ignore_rule_changes),
        (notifications, "derive_notification_id", random_notification_id),
        (CommandHandler, "_decide", decide_on_any_state),
    ],
)
def test_the_comparison_detects_planted_faults(
    owner: object, name: str, broken: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def differs(seed: int) -> bool:
        good = run_without_faults(seed)
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, broken)
            try:
                bad = run_random_scenario(seed, rough=True, kills=2)
            except AssertionError:
                return True  # verification finds it
        return (alert_facts(bad), notification_facts(bad)) != (
            alert_facts(good),
            notification_facts(good),
        )

    assert any(differs(seed) for seed in range(40))


@pytest.mark.parametrize("is_removed", [False, True])
@pytest.mark.parametrize(
    "request_",
    [
        create_rule_request(price="105"),
        create_rule_request(RuleKind.PERCENT_MOVE, percent="5", window_seconds=600),
    ],
)
async def test_a_rule_that_was_triggered_after_the_erasure_of_its_user_is_forgotten(
    request_: CreateRule, is_removed: bool
) -> None:
    """Its trigger is removed before the index of armed rules has read it, or not."""
    server = MemoryServer()
    environment, process = AlertsEnvironment(server), await AlertsProcess(server).start()
    await environment.publish_price("100")
    await process.create_rule(request_)
    await asyncio.sleep(1)
    with held_pages(process.log, RULES_FILTER):
        await append_erasure(process.log, USER)
        await environment.publish_price("106")
        await environment.wait_for_log("triggered", lambda seen: seen.alerts)
        await asyncio.sleep(1)
        if is_removed:
            server.remove_user(USER)
    await asyncio.sleep(5)
    before = (await process.log.bounds()).last
    for price in ("100", "120"):
        await environment.publish_price(price)
        await asyncio.sleep(5)
    assert (await process.log.bounds()).last == before
    assert process.price_monitor.pending_count == 0
    assert process.price_monitor._evaluator._armed_by_id == {}
    process.raise_task_errors()
    await process.kill()
