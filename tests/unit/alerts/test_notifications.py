"""The words of notifications and alerts, and the limits of their size."""

from collections.abc import Sequence

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from msgspec.structs import replace

from tapewire.events import (
    CATALOGUE,
    CODEC,
    AlertLevel,
    AlertRaised,
    Event,
    NotificationCreated,
    OrderReport,
    OrderStatus,
    RuleKind,
    Side,
    StrategyReport,
)
from tapewire.log import NewEvent
from tapewire_services.alerts.domain.event_messages import (
    NOTIFIED_EVENT_TYPES,
    RULE_KIND_BY_EVENT_TYPE,
    to_notification_content,
    to_trigger_candidate,
)
from tapewire_services.alerts.domain.notifications import (
    MAX_MESSAGE_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_TITLE_BYTES,
    NOTIFICATION_DECIDER,
    AbsentNotificationState,
    CreatedNotificationState,
    CreateNotificationCommand,
    NotificationContent,
    truncate_to_json_bytes,
)
from tests.unit.alerts.spec import (
    GOLDEN_FOLDER,
    START_TIME,
    USER,
    describe_notification,
    load_golden_event,
    order_failed,
    order_filled,
    order_rejected,
    stop_loss_triggered,
    strategy_failed,
)


def alert(level: AlertLevel, symbol: str | None = "IBM") -> AlertRaised:
    return AlertRaised(
        alert_id="a", level=level, message="it is", symbol=symbol, rule_id="r", timestamp=START_TIME
    )


def notify_about(event: Event) -> Sequence[NewEvent]:
    found = to_notification_content(event)
    assert found is not None
    return NOTIFICATION_DECIDER.decide(
        AbsentNotificationState(), CreateNotificationCommand(id="cause", user=USER, content=found)
    )


NOTIFIED_CASES = [
    (order_filled(), "order_filled: Order filled", "Bought 1000 IBM at 100.25"),
    (order_filled(side=Side.SELL), "order_filled: Order filled", "Sold 1000 IBM at 100.25"),
    (
        order_rejected(""),
        "order_rejected: Order rejected",
        "The order to buy 1000 IBM was rejected",
    ),
    (
        order_failed(),
        "order_failed: Order failed",
        "The order to buy 1000 IBM failed after 3 were filled: venue down",
    ),
    (
        strategy_failed("no\n  price"),
        "strategy_error: Strategy error",
        "Reverter (SPY) stopped: no price",
    ),
    (
        stop_loss_triggered(),
        "stop_loss: Stop-loss triggered",
        "Stop-loss of Reverter: SPY is at 94.5, the stop at 95",
    ),
    (alert(AlertLevel.INFO), "alert: Alert: IBM", "it is"),
    (alert(AlertLevel.WARNING), "alert: Warning: IBM", "it is"),
    (alert(AlertLevel.ERROR, None), "alert: Urgent alert", "it is"),
]


@pytest.mark.parametrize(("event", "title", "message"), NOTIFIED_CASES)
def test_titles_and_messages(event: Event, title: str, message: str) -> None:
    [new_event] = notify_about(event)
    assert describe_notification(new_event.event) == f"{title}: {message}"
    assert new_event.subject.domain == "notifications"


def test_payloads_contain_the_fields_of_the_event() -> None:
    [new_event] = notify_about(order_filled())
    assert isinstance(new_event.event, NotificationCreated)
    assert CODEC.encode(new_event.event.notification.payload) == (
        b'{"orderId":"o","symbol":"IBM","side":"buy","qty":1000,"filledQty":1000,'
        b'"filledAvgPrice":100.25,"strategyId":null}'
    )


REPORTED_CASES = [
    ("report.order_rejected.v1", "order_rejected: Order rejected",
     "The order of momentum-desk to buy 51 BRK.B was rejected: outside trading hours"),
    ("report.order_failed.v1", "order_failed: Order failed",
     "The order of momentum-desk to sell 25.5 BRK.B failed: the venue did not answer"),
    ("report.strategy_failed.v1", "strategy_error: Strategy error",
     "Momentum 7 (BRK.B) stopped: no heartbeat from the venue for 30 s"),
    ("report.stop_loss_triggered.v1", "stop_loss: Stop-loss triggered",
     "Stop-loss of mom-7: BRK.B is at 502.2, the stop at 502.2108"),
    ("report.error.v1", "error: Error", "momentum-desk: the clock is 3 s behind the venue's"),
]  # fmt: skip


@pytest.mark.parametrize(("tag", "title", "message"), REPORTED_CASES)
def test_notifications_of_reports_name_their_source(tag: str, title: str, message: str) -> None:
    [new_event] = notify_about(load_golden_event(tag))
    assert describe_notification(new_event.event) == f"{title}: {message}"
    assert isinstance(new_event.event, NotificationCreated)
    assert new_event.event.notification.payload["source"] == "momentum-desk"


def test_a_reported_order_is_notified_when_it_is_filled_completely() -> None:
    event = load_golden_event("report.order_executed.v1")
    assert isinstance(event, OrderReport)
    assert to_notification_content(event) is None
    whole = replace(event, order=replace(event.order, status=OrderStatus.FILLED))
    [new_event] = notify_about(whole)
    assert describe_notification(new_event.event) == (
        "order_filled: Order filled: Bought 25.5 BRK.B at 512.46 (momentum-desk)"
    )


def test_a_report_without_a_symbol_triggers_rules_on_any_symbol() -> None:
    event = load_golden_event("report.strategy_failed.v1")
    assert isinstance(event, StrategyReport)
    found = to_trigger_candidate(
        replace(event, strategy=replace(event.strategy, symbol=None, name=None))
    )
    assert found is not None
    assert (found.kind, found.symbol) == (RuleKind.STRATEGY_ERROR, None)
    assert found.message == "mom-7 (momentum-desk) stopped: no heartbeat from the venue for 30 s"


def test_an_order_is_notified_when_it_is_filled_completely() -> None:
    assert to_notification_content(order_filled(OrderStatus.PARTIALLY_FILLED)) is None


@pytest.mark.parametrize(
    "tag",
    [file.stem for file in GOLDEN_FOLDER.glob("*.json") if not file.stem.endswith(".becomes")],
)
def test_only_listed_event_types_give_notifications(tag: str) -> None:
    event = load_golden_event(tag)
    if tag not in ("order.filled.v1", "report.order_executed.v1"):
        assert (to_notification_content(event) is not None) == (type(event) in NOTIFIED_EVENT_TYPES)
    assert (to_trigger_candidate(event) is not None) == (type(event) in RULE_KIND_BY_EVENT_TYPE)
    assert CATALOGUE.struct_for_tag(tag) is type(event)


def test_an_existing_notification_is_not_created_again() -> None:
    [new_event] = notify_about(order_filled())
    assert (
        NOTIFICATION_DECIDER.evolve(AbsentNotificationState(), new_event.event)
        == CreatedNotificationState()
    )
    again = CreateNotificationCommand(id="cause", user=USER, content=NotificationContent(
        type="x", title="x", message="x", payload={}, at=START_TIME))  # fmt: skip
    assert NOTIFICATION_DECIDER.decide(CreatedNotificationState(), again) == []


TEXTS = st.text(st.characters(codec="utf-8"), max_size=2000)


@examples(TEXTS, TEXTS, st.sampled_from(["rejected", "strategy"]))
def test_foreign_texts_of_any_size_fit(one: str, other: str, which: str) -> None:
    event: Event = strategy_failed(one, other) if which == "strategy" else order_rejected(one)
    [new_event] = notify_about(event)
    assert isinstance(new_event.event, NotificationCreated)
    notification = new_event.event.notification
    assert len(CODEC.encode(notification.title)) - 2 <= MAX_TITLE_BYTES
    assert len(CODEC.encode(notification.message)) - 2 <= MAX_MESSAGE_BYTES


@examples(TEXTS, st.integers(3, 600))
def test_a_cut_text_is_a_prefix_with_an_ellipsis(text: str, most: int) -> None:
    cut = truncate_to_json_bytes(text, most)
    assert len(CODEC.encode(cut)) - 2 <= most
    assert cut == text or (text.startswith(cut[:-1]) and cut.endswith("…"))


def test_a_payload_that_is_too_large_is_left_out() -> None:
    huge = NotificationContent(
        type="x", title="x", message="x", payload={"x": "y" * MAX_PAYLOAD_BYTES}, at=START_TIME
    )
    [new_event] = NOTIFICATION_DECIDER.decide(
        AbsentNotificationState(), CreateNotificationCommand(id="c", user=USER, content=huge)
    )
    assert isinstance(new_event.event, NotificationCreated)
    assert new_event.event.notification.payload == {}
