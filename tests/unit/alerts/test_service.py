"""The whole alerts service on the log in memory, in virtual time."""

import asyncio
from decimal import Decimal

import pytest

from tapewire.events import AlertLevel, AlertRaised, Event, RuleKind
from tapewire.log import Unavailable
from tapewire.log.memory import MemoryServer
from tapewire.runtime.contracts.alerts import ArmRule, DeleteRule, ListAlerts, ListRules
from tapewire_services.alerts import service as serving
from tests.harness.memory_process import await_rejection, make_context
from tests.unit.alerts.harness import AlertsEnvironment, AlertsProcess, create_rule_request
from tests.unit.alerts.spec import (
    START_TIME,
    USER,
    order_failed,
    order_filled,
    order_rejected,
    stop_loss_triggered,
    strategy_failed,
)

pytestmark = pytest.mark.virtual_time


async def list_rules(process: AlertsProcess, user: str = USER) -> list[str]:
    reply = await process.service.list_rules(ListRules(user_id=user), make_context())
    return [rule.rule_id for rule in reply.rules]


async def test_a_rule_is_created_listed_triggered_armed_again_and_deleted(
    process: AlertsProcess, environment: AlertsEnvironment
) -> None:
    rule = await process.create_rule(create_rule_request(price="105"))
    assert (rule.armed, rule.level, rule.price) == (True, AlertLevel.INFO, Decimal(105))
    assert await list_rules(process) == [rule.rule_id]
    await environment.publish_price("106")
    await environment.publish_price("107")
    seen = await environment.wait_for_log("a triggered rule", lambda seen: seen.alerts)
    assert [one.message for one in seen.alerts] == ["IBM is at 106, above 105"]
    assert not seen.rules[rule.rule_id].armed
    await environment.publish_price("104")
    assert (await process.arm_rule(rule.rule_id)).armed
    await environment.publish_price("108")
    seen = await environment.wait_for_log("another alert", lambda seen: len(seen.alerts) == 2)
    reply = await process.service.list_alerts(ListAlerts(user_id=USER), make_context())
    assert [one.message for one in reply.alerts] == [
        "IBM is at 108, above 105",
        "IBM is at 106, above 105",
    ]
    await process.delete_rule(rule.rule_id)
    assert await list_rules(process) == []
    assert await await_rejection(process.arm_rule(rule.rule_id)) == ("not_found", None)


async def test_a_rule_whose_condition_holds_is_triggered_without_another_quote(
    process: AlertsProcess, environment: AlertsEnvironment
) -> None:
    await process.create_rule(create_rule_request(price="99"))
    await environment.wait_for_log("the alert", lambda seen: seen.alerts)


async def test_a_repeated_creation_returns_the_same_rule(process: AlertsProcess) -> None:
    first = await process.create_rule(create_rule_request(price="105"), "command")
    assert await process.create_rule(create_rule_request(price="105"), "command") == first
    assert await list_rules(process) == [first.rule_id]


async def test_invalid_rules_are_rejected_with_the_path(process: AlertsProcess) -> None:
    assert await await_rejection(process.create_rule(create_rule_request())) == (
        "invalid",
        "price",
    )
    assert await await_rejection(
        process.create_rule(create_rule_request(price="1", symbol="XXX"))
    ) == (
        "invalid",
        "symbol",
    )


async def test_a_rule_beyond_the_limit_is_rejected_unless_it_is_a_repeat(
    monkeypatch: pytest.MonkeyPatch, process: AlertsProcess
) -> None:
    monkeypatch.setattr(serving, "MAX_RULES_PER_USER", 2)

    first = await process.create_rule(create_rule_request(price="105"), "one")
    await process.create_rule(create_rule_request(price="105"), "two")
    assert await await_rejection(
        process.create_rule(create_rule_request(price="105"), "three")
    ) == ("conflict", None)
    await process.create_rule(create_rule_request(price="105"), "two")
    await process.delete_rule(first.rule_id)
    await process.create_rule(create_rule_request(price="105"), "three")


async def test_rules_of_other_users_are_not_found(process: AlertsProcess) -> None:
    rule = await process.create_rule(create_rule_request(price="105"))
    bob = "bob"
    assert await list_rules(process, bob) == []
    arming = ArmRule(user_id=bob, rule_id=rule.rule_id)
    deleting = DeleteRule(user_id=bob, rule_id=rule.rule_id)
    assert await await_rejection(process.service.arm_rule(arming, make_context())) == (
        "not_found",
        None,
    )
    assert await await_rejection(process.service.delete_rule(deleting, make_context())) == (
        "not_found",
        None,
    )
    for rule_id in ("", "x" * 65):
        request = ArmRule(user_id=USER, rule_id=rule_id)
        assert await await_rejection(process.service.arm_rule(request, make_context())) == (
            "not_found",
            None,
        )


async def test_a_rule_is_armed_again_although_this_process_remembers_it_as_armed() -> None:
    """The process that created the rule remembers it as armed, but another one has triggered it
    since. Without a look at the log, the arm command would seem to change nothing."""
    server = MemoryServer()
    environment, arming, judging = (
        AlertsEnvironment(server),
        AlertsProcess(server),
        AlertsProcess(server),
    )
    await environment.publish_price("100")
    await arming.start(holds_lease=False)
    await judging.start()
    await asyncio.sleep(10)
    rule = await arming.create_rule(create_rule_request(price="105"))
    for number in range(1, 4):
        await environment.publish_price("106")
        await wait_for_alerts(environment, number)
        await environment.publish_price("100")
        assert (await arming.arm_rule(rule.rule_id)).armed
    for process in (arming, judging):
        process.raise_task_errors()
        await process.kill()


async def wait_for_alerts(environment: AlertsEnvironment, times: int) -> None:
    await environment.wait_for_log(f"{times} alerts", lambda seen: len(seen.alerts) == times)


EVENTS = [
    (RuleKind.ORDER_REJECTED, order_rejected(), "orders", "IBM",
     "The order to buy 1000 IBM was rejected: too dear"),
    (RuleKind.STRATEGY_ERROR, strategy_failed(), "strategies", "SPY",
     "Reverter (SPY) stopped: division by zero"),
    (RuleKind.STOP_LOSS, stop_loss_triggered(), "strategies", "SPY",
     "Stop-loss of Reverter: SPY is at 94.5, the stop at 95"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "event", "domain", "symbol", "message"), EVENTS)
async def test_events_trigger_their_rules_once_until_armed_again(
    kind: RuleKind,
    event: Event,
    domain: str,
    symbol: str,
    message: str,
    process: AlertsProcess,
    environment: AlertsEnvironment,
) -> None:
    await environment.append_event(event, domain=domain)  # before any rule
    any_ = await process.create_rule(create_rule_request(kind, symbol=None, level=AlertLevel.ERROR))
    await process.create_rule(create_rule_request(kind, symbol=symbol))
    await process.create_rule(create_rule_request(kind, symbol="OTHER"))
    await process.create_rule(create_rule_request(kind, symbol=None, user="bob"))
    for _ in range(3):
        await environment.append_event(event, domain=domain)
    seen = await environment.wait_for_log("two alerts", lambda seen: len(seen.alerts) == 2)
    assert {(one.message, one.symbol) for one in seen.alerts} == {(message, symbol)}
    assert AlertLevel.ERROR in {one.level for one in seen.alerts}
    await process.arm_rule(any_.rule_id)
    await asyncio.sleep(10)
    assert len((await environment.read_log_summary()).alerts) == 2
    id_ = await environment.append_event(event, domain=domain)
    seen = await environment.wait_for_log("a third", lambda seen: len(seen.alerts) == 3)
    assert seen.alerts[2].rule_id == any_.rule_id
    raised = next(one for one in seen.events if one.event == seen.alerts[2])
    assert raised.metadata.causation == f"{id_}:{any_.rule_id}"
    assert raised.metadata.correlation == f"correlation-{id_.removeprefix('event-')}"


async def test_events_become_notifications(
    process: AlertsProcess, environment: AlertsEnvironment
) -> None:
    await environment.append_event(order_filled())
    await environment.append_event(order_rejected())
    await environment.append_event(order_failed())
    await environment.append_event(strategy_failed(), domain="strategies")
    await environment.append_event(stop_loss_triggered(), domain="strategies")
    await process.create_rule(create_rule_request(price="99"))
    seen = await environment.wait_for_log(
        "all notifications", lambda seen: len(seen.notifications) == 6
    )
    assert set(seen.describe_notifications()) == {
        "order_filled: Bought 1000 IBM at 100.25",
        "order_rejected: The order to buy 1000 IBM was rejected: too dear",
        "order_failed: The order to buy 1000 IBM failed after 3 were filled: venue down",
        "strategy_error: Reverter (SPY) stopped: division by zero",
        "stop_loss: Stop-loss of Reverter: SPY is at 94.5, the stop at 95",
        "alert: IBM is at 100, above 99",
    }


async def test_rules_are_accepted_before_the_first_quote() -> None:
    process = await AlertsProcess(MemoryServer()).start()
    with pytest.raises(Unavailable):
        await process.service.create_rule(create_rule_request(price="1"), make_context())
    await process.service.create_rule(create_rule_request(RuleKind.STOP_LOSS), make_context())
    await process.kill()


async def test_rules_are_paged_although_listed_ones_are_deleted(process: AlertsProcess) -> None:
    ids = [
        (await process.create_rule(create_rule_request(price=str(200 + number)))).rule_id
        for number in range(12)
    ]
    seen, cursor = list[str](), None
    while True:
        request = ListRules(user_id=USER, limit=5, cursor=cursor)
        reply = await process.service.list_rules(request, make_context())
        seen += [rule.rule_id for rule in reply.rules]
        cursor = reply.next
        if cursor is None:
            break
        await process.delete_rule(seen[-1])
        await process.delete_rule(seen[-3])
    assert seen == ids
    for bad in ("x", "W10", ""):
        listing = process.service.list_rules(ListRules(user_id=USER, cursor=bad), make_context())
        assert await await_rejection(listing) == ("invalid", "cursor")


async def test_all_alerts_are_listed_however_many(
    process: AlertsProcess, environment: AlertsEnvironment
) -> None:
    """A list of the last 100 would lose the others."""
    for number in range(130):
        alert = AlertRaised(
            alert_id=f"event-{number + 1}",
            level=AlertLevel.INFO,
            message="of another program",
            symbol=None,
            rule_id=None,
            timestamp=START_TIME,
        )
        await environment.append_event(alert, domain="alerts")
    seen, cursor = list[str](), None
    while cursor is not None or not seen:
        request = ListAlerts(user_id=USER, limit=60, cursor=cursor)
        reply = await process.service.list_alerts(request, make_context())
        seen += [alert.alert_id for alert in reply.alerts]
        cursor = reply.next
    assert seen == [f"event-{number + 1}" for number in reversed(range(130))]
