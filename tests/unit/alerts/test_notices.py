"""What people are told: the words, and that nothing of it is too large to keep."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from msgspec.structs import replace

from services.alerts.domain.figures import exact, plain, spelled
from services.alerts.domain.notices import (
    MAX_MESSAGE,
    MAX_PAYLOAD,
    MAX_TITLE,
    NOTIFICATIONS,
    Notify,
    Told,
    Untold,
    within,
)
from services.alerts.domain.telling import Notice
from services.alerts.domain.wording import NOTICES, OCCASIONS, notice, occasion
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
from tapewire.log import Happening, Refusal
from tests.unit.alerts.spec import (
    GOLDEN,
    START,
    USER,
    failed,
    filled,
    golden,
    rejected,
    stop_loss,
    strategy_failed,
    told,
)


def alert(level: AlertLevel, symbol: str | None = "IBM") -> AlertRaised:
    return AlertRaised(
        alert_id="a", level=level, message="it is", symbol=symbol, rule_id="r", timestamp=START
    )


def happens(event: Event) -> Sequence[Happening]:
    found = notice(event)
    assert found is not None
    return NOTIFICATIONS.decide(Untold(), Notify(id="cause", user=USER, notice=found))


TOLD = [
    (filled(), "order_filled: Order filled", "Bought 1000 IBM at 100.25"),
    (filled(side=Side.SELL), "order_filled: Order filled", "Sold 1000 IBM at 100.25"),
    (rejected(""), "order_rejected: Order rejected", "The order to buy 1000 IBM was rejected"),
    (
        failed(),
        "order_failed: Order failed",
        "The order to buy 1000 IBM failed after 3 were filled: venue down",
    ),
    (
        strategy_failed("no\n  price"),
        "strategy_error: Strategy error",
        "Reverter (SPY) stopped: no price",
    ),
    (
        stop_loss(),
        "stop_loss: Stop-loss triggered",
        "Stop-loss of Reverter: SPY is at 94.5, the stop at 95",
    ),
    (alert(AlertLevel.INFO), "alert: Alert: IBM", "it is"),
    (alert(AlertLevel.WARNING), "alert: Warning: IBM", "it is"),
    (alert(AlertLevel.ERROR, None), "alert: Urgent alert", "it is"),
]


@pytest.mark.parametrize(("event", "title", "message"), TOLD)
def test_plain_words(event: Event, title: str, message: str) -> None:
    [happening] = happens(event)
    assert told(happening.event) == f"{title}: {message}"
    assert happening.subject.domain == "notifications"


def test_payloads_are_for_programs() -> None:
    [happening] = happens(filled())
    assert isinstance(happening.event, NotificationCreated)
    assert CODEC.encode(happening.event.notification.payload) == (
        b'{"orderId":"o","symbol":"IBM","side":"buy","qty":1000,"filledQty":1000,'
        b'"filledAvgPrice":100.25,"strategyId":null}'
    )


REPORTED = [
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


@pytest.mark.parametrize(("tag", "title", "message"), REPORTED)
def test_what_other_programs_report_is_told_with_its_source(
    tag: str, title: str, message: str
) -> None:
    [happening] = happens(golden(tag))
    assert told(happening.event) == f"{title}: {message}"
    assert isinstance(happening.event, NotificationCreated)
    assert happening.event.notification.payload["source"] == "momentum-desk"


def test_an_order_of_another_program_is_told_of_when_all_of_it_is_executed() -> None:
    event = golden("report.order_executed.v1")
    assert isinstance(event, OrderReport)
    assert notice(event) is None
    whole = replace(event, order=replace(event.order, status=OrderStatus.FILLED))
    [happening] = happens(whole)
    assert told(happening.event) == (
        "order_filled: Order filled: Bought 25.5 BRK.B at 512.46 (momentum-desk)"
    )


def test_what_is_reported_of_no_symbol_is_an_occasion_for_rules_on_any() -> None:
    event = golden("report.strategy_failed.v1")
    assert isinstance(event, StrategyReport)
    found = occasion(replace(event, strategy=replace(event.strategy, symbol=None, name=None)))
    assert found is not None
    assert (found.kind, found.symbol) == (RuleKind.STRATEGY_ERROR, None)
    assert found.message == "mom-7 (momentum-desk) stopped: no heartbeat from the venue for 30 s"


def test_an_order_is_told_of_when_it_is_filled_to_the_end() -> None:
    assert notice(filled(OrderStatus.PARTIALLY_FILLED)) is None


@pytest.mark.parametrize(
    "tag", [file.stem for file in GOLDEN.glob("*.json") if not file.stem.endswith(".becomes")]
)
def test_events_that_are_named_are_told_of_and_no_others(tag: str) -> None:
    event = golden(tag)
    if tag not in ("order.filled.v1", "report.order_executed.v1"):
        assert (notice(event) is not None) == (type(event) in NOTICES)
    assert (occasion(event) is not None) == (type(event) in OCCASIONS)
    assert CATALOGUE.struct(tag) is type(event)


def test_what_was_told_is_not_told_again() -> None:
    [happening] = happens(filled())
    assert NOTIFICATIONS.evolve(Untold(), happening.event) == Told()
    again = Notify(id="cause", user=USER, notice=Notice(
        type="x", title="x", message="x", payload={}, at=START))  # fmt: skip
    assert NOTIFICATIONS.decide(Told(), again) == []


TEXTS = st.text(st.characters(codec="utf-8"), max_size=2000)


@examples(TEXTS, TEXTS, st.sampled_from(["rejected", "strategy"]))
def test_whatever_others_write_fits(one: str, other: str, which: str) -> None:
    event: Event = strategy_failed(one, other) if which == "strategy" else rejected(one)
    [happening] = happens(event)
    assert isinstance(happening.event, NotificationCreated)
    notification = happening.event.notification
    assert len(CODEC.encode(notification.title)) - 2 <= MAX_TITLE
    assert len(CODEC.encode(notification.message)) - 2 <= MAX_MESSAGE


@examples(TEXTS, st.integers(3, 600))
def test_a_cut_text_is_the_beginning_and_says_so(text: str, most: int) -> None:
    cut = within(text, most)
    assert len(CODEC.encode(cut)) - 2 <= most
    assert cut == text or (text.startswith(cut[:-1]) and cut.endswith("…"))


def test_a_monstrous_payload_is_left_out_rather_than_the_notification() -> None:
    huge = Notice(type="x", title="x", message="x", payload={"x": "y" * MAX_PAYLOAD}, at=START)
    [happening] = NOTIFICATIONS.decide(Untold(), Notify(id="c", user=USER, notice=huge))
    assert isinstance(happening.event, NotificationCreated)
    assert happening.event.notification.payload == {}


@pytest.mark.parametrize(
    ("number", "text"),
    [("1000", "1000"), ("1E+3", "1000"), ("10.50", "10.5"), ("0.000001", "0.000001"),
     ("-3", "-3"), ("0", "0"), ("NaN", "NaN"), ("1E+999999", "1E+999999"),
     ("1E-999999", "1E-999999")],
)  # fmt: skip
def test_numbers_are_spelled_for_people(number: str, text: str) -> None:
    assert spelled(Decimal(number)) == text


@examples(st.decimals("0.000001", 1000, places=6))
def test_exact_changes_no_number(number: Decimal) -> None:
    assert exact("x", number, most=Decimal(1000), places=6) == number == plain(number)


@pytest.mark.parametrize("number", ["NaN", "sNaN", "-Infinity", "0", "-1", "1001", "0.0000001"])
def test_exact_refuses_what_is_out_of_bounds(number: str) -> None:
    with pytest.raises(Refusal) as refusal:
        exact("x", Decimal(number), most=Decimal(1000), places=6)
    assert refusal.value.path == "x"
