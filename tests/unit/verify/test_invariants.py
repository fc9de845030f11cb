"""Every invariant finds its violations, and an intact day violates none. The tests write a day,
tamper with one event, and expect the matching difference at that event.
"""

import itertools
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import pytest

from tapewire.events import CODEC, OrderEvent, WaitingReason
from tapewire.log import Page
from tapewire.log.memory import MemoryEventLog
from tests.harness.recorded_log import event_of
from tests.unit.verify.tampered_log import TamperedLog


async def test_an_intact_day_has_no_differences() -> None:
    for seed in range(1, 6):
        found, summary = await (await TamperedLog(seed).write_events()).verify()
        assert found == []
        assert not summary.unknown
        assert not summary.pending
        assert {"orders", "trades", "positions", "strategies", "rules", "alerts"} <= set(
            summary.entities
        )


class Violation(NamedTuple):
    """`alter` tampers with a day and returns the sequence of the event whose difference must have
    the text `expected`."""

    alter: Callable[[TamperedLog], int]
    expected: str


def change_fields(
    tag: str, expected: str, which: Callable[[Any], bool] = lambda _: True, **fields: Any
) -> Violation:
    """Change fields of the last matching event."""

    def alter(day: TamperedLog) -> int:
        sequence = day.find_sequence(tag, which)
        day.alter_fields(sequence, **fields)
        return sequence

    return Violation(alter, expected)


def repeat_event(tag: str, expected: str) -> Violation:
    """Append the last matching event again."""

    def alter(day: TamperedLog) -> int:
        day.append_copy(day.find_sequence(tag))
        return day.server.journal.last

    return Violation(alter, expected)


def replace_tag(tag: str, other: str, expected: str) -> Violation:
    """Give the last matching event another tag."""

    def alter(day: TamperedLog) -> int:
        sequence = day.find_sequence(tag)
        day.replace_event(sequence, tag=other)
        return sequence

    return Violation(alter, expected)


def plus(amount: str) -> Callable[[Any], Decimal]:
    return lambda value: Decimal(str(value)) + Decimal(amount)


def is_limit_order(data: dict[str, Any]) -> bool:
    return data["order"]["limitPrice"] is not None


EARLIER = "2001-01-01T00:00:00Z"

VIOLATIONS: dict[str, Violation] = {
    "not decodable": change_fields("order.filled", "cannot decode", qty="many"),
    "another domain": Violation(
        lambda day: _moved(day, day.find_sequence("order.placed"), "trades"), "belongs to orders"
    ),
    "an order's id": change_fields("order.placed", "orderId is", order__orderId="0" * 32),
    "an order's name": change_fields("order.placed", "orderId is", order__clientOrderId="x"),
    "placed as filled": change_fields("order.placed", "status is filled", order__status="filled"),
    "placed twice": repeat_event("order.placed", "it happened already"),
    "accepted with another quantity": change_fields(
        "order.accepted", "qty is", order__qty=plus("1")
    ),
    "accepted back in time": change_fields(
        "order.accepted", "its time goes back", order__timestamp=EARLIER
    ),
    "accepted after it was closed": repeat_event("order.accepted", "the order is not open"),
    "filled after it was closed": repeat_event("order.filled", "the order is not open"),
    "canceled twice": repeat_event("order.canceled", "the order is not open"),
    "rejected twice": repeat_event("order.rejected", "the order is not open"),
    "filled quantity": change_fields("order.filled", "filledQty is", order__filledQty=plus("0.01")),
    "average price": change_fields(
        "order.filled", "filledAvgPrice is", order__filledAvgPrice=plus("0.000001")
    ),
    "price of a fill": change_fields("order.filled", "filledAvgPrice is", price=plus("0.01")),
    "number of a fill": change_fields("order.filled", "tradeId is t", tradeId="t"),
    "worse than the limit": change_fields(
        "order.filled",
        "worse_than_limit",
        lambda d: is_limit_order(d) and d["order"]["side"] == "buy",
        price=plus("5"),
    ),
    "canceled as if more were filled": change_fields(
        "order.canceled", "filledQty is", order__filledQty=plus("1")
    ),
    "canceled as rejected": change_fields("order.canceled", "status is", order__status="rejected"),
    "waiting for what it waited for": change_fields(
        "order.waiting", "has not changed", order__waiting=None
    ),
    "waiting after a fill": Violation(
        lambda day: _still_waiting(day, day.find_sequence("order.filled")), "waiting is"
    ),
    "waiting after the end": Violation(
        lambda day: _still_waiting(day, day.find_sequence("order.canceled")), "waiting is"
    ),
    "a command twice": Violation(
        lambda day: _same_command(day, day.find_sequence("order.filled")),
        "changed the order before",
    ),
    "trade of another price": change_fields(
        "trade.executed", "price of the trade", price=plus("1")
    ),
    "trade of another quantity": change_fields("trade.executed", "qty of the trade", qty=plus("1")),
    "trade of another side": change_fields(
        "trade.executed", "side of the trade", side=lambda side: "buy" if side == "sell" else "sell"
    ),
    "a trade of no fill": repeat_event("trade.executed", "no fill comes right before"),
    "a trade without numbers": change_fields(
        "trade.executed", "cannot be applied", qty=Decimal(-1)
    ),
    "cost basis, last digit": change_fields(
        "position.changed", "costBasis is", position__costBasis=plus("1e-18")
    ),
    "position's quantity": change_fields(
        "position.changed", "quantity is", position__quantity=plus("0.25")
    ),
    "realized of all": change_fields(
        "position.closed", "realizedPnl is", position__realizedPnl=plus("0.001")
    ),
    "realized by one": change_fields("position.closed", "realized is", realized=plus("0.001")),
    "entry price": change_fields(
        "position.opened", "entryPrice is", position__entryPrice=plus("0.000001")
    ),
    "fees": change_fields("position.opened", "fees is", position__fees=Decimal(1)),
    "opened that was changed": replace_tag(
        "position.changed", "position.opened.v1", "the event is PositionOpened"
    ),
    "position of a trade that is none": change_fields(
        "position.changed", "does not make this event", tradeSequence=1
    ),
    "position of another symbol": change_fields(
        "position.changed", "symbol is ZZZ", position__symbol="ZZZ"
    ),
    "position stored twice": repeat_event("position.", "does not make this event"),
    "a strategy made twice": repeat_event("strategy.created", "it happened already"),
    "a strategy that began with shares": change_fields(
        "strategy.created", "initial state", strategy__position=Decimal(3)
    ),
    "a strategy's quiet change": change_fields(
        "strategy.signaled", "quantity is 11", strategy__quantity=Decimal(11)
    ),
    "a start that did not": change_fields(
        "strategy.started", "status is stopped", strategy__status="stopped"
    ),
    "a skipped order": change_fields("strategy.signaled", "orders is 9", strategy__orders=9),
    "a signal's order": change_fields(
        "strategy.signaled", "order is", strategy__order__clientOrderId="x"
    ),
    "what a strategy holds": change_fields(
        "strategy.traded", "position is", strategy__position=plus("1")
    ),
    "what a strategy paid": change_fields(
        "strategy.traded",
        "entryPrice is",
        lambda d: d["strategy"]["entryPrice"] is not None,
        strategy__entryPrice=plus("0.01"),
    ),
    "trades of a strategy": change_fields("strategy.traded", "trades is 9", strategy__trades=9),
    "a fill of another price": change_fields("strategy.traded", "the fill is", price=plus("1")),
    "a fill stored twice": repeat_event("strategy.traded", "no fill"),
    "a stop-loss executed twice": repeat_event(
        "strategy.stop_loss_executed", "no order of an exit was filled right before"
    ),
    "a stop-loss of another order": change_fields(
        "strategy.stop_loss_executed", "the exit is", orderId="x"
    ),
    "a stop-loss for more": change_fields(
        "strategy.stop_loss_triggered", "order is", strategy__order__qty=Decimal(99)
    ),
    "completed too early": change_fields(
        "strategy.completed", "has something to do", strategy__maxTrades=77
    ),
    "a decision of another action": change_fields(
        "decision.made", "the decision is", action="hold"
    ),
    "a decision of no signal": repeat_event("decision.made", "no signal precedes"),
    "a confidence of two": change_fields("decision.made", "the confidence is 2", confidence=2),
    "a rule made twice": repeat_event("rule.created", "it happened already"),
    "a rule's price": change_fields("rule.triggered", "price is 7", rule__price=Decimal(7)),
    "a rule armed by its trigger": change_fields(
        "rule.triggered", "armed is True", rule__armed=True
    ),
    "a rule triggered when it is gone": Violation(
        lambda day: _after_the_end(day, "rule.triggered", "rule.deleted"), "deleted before"
    ),
    "a rule deleted twice": repeat_event("rule.deleted", "deleted before"),
    "an alert of another rule": change_fields("alert.raised", "the alert is", ruleId="x"),
    "an alert twice": repeat_event("alert.raised", "was not triggered right before"),
    "a notification of nothing": Violation(
        lambda day: _cause(day, "nothing:notify"), "event nothing is not in the log"
    ),
    "a notification twice": repeat_event("notification.created", "notified before"),
    "a notification read at birth": change_fields(
        "notification.created", "isRead is True", notification__isRead=True
    ),
    "a configuration made twice": repeat_event("configuration.created", "it happened already"),
    "a configuration's id": change_fields(
        "configuration.changed", "id is x", configuration__id="x"
    ),
    "an item's score": change_fields("item.analysed", "a score of 2", item__score=2),
    "an item's id": change_fields("item.analysed", "id is x", item__id="x"),
    "an item twice": repeat_event("item.analysed", "it happened already"),
    "an id twice": Violation(
        lambda day: _twin(day, day.find_sequence("item.analysed")), "its id is that of the event at"
    ),
    "another cause than its command": Violation(
        lambda day: _caused(day, day.find_sequence("order.accepted")), "causation is"
    ),
}


def _moved(day: TamperedLog, sequence: int, domain: str) -> int:
    _, owner, _, entity = day.events[sequence - 1].subject.split(".")
    day.replace_event(sequence, subject=f"ev.{owner}.{domain}.{entity}")
    return sequence


def _after_the_end(day: TamperedLog, tag: str, end: str) -> int:
    subject = day.events[day.find_sequence(end) - 1].subject
    day.append_copy(
        [
            one.sequence
            for one in day.events
            if (one.subject, one.tag[: len(tag)]) == (subject, tag)
        ][-1]
    )
    return day.server.journal.last


def _same_command(day: TamperedLog, sequence: int) -> int:
    """Give the event the command id of the previous event of the same order."""
    subject = day.events[sequence - 1].subject
    before = next(e for e in reversed(day.events[: sequence - 1]) if e.subject == subject)
    day.alter_fields(sequence, commandId=event_of(before, OrderEvent).command_id)
    return sequence


def _still_waiting(day: TamperedLog, sequence: int) -> int:
    event = event_of(day.events[sequence - 1], OrderEvent)
    order = msgspec.structs.replace(event.order, waiting=WaitingReason.CROSSED)
    after = msgspec.structs.replace(event, order=order)
    day.replace_event(sequence, data=CODEC.encode(after))
    return sequence


def _cause(day: TamperedLog, command: str) -> int:
    sequence = day.find_sequence("notification.created")
    day.alter_fields(sequence, commandId=command)
    return sequence


def _twin(day: TamperedLog, sequence: int) -> int:
    meta = day.events[0].metadata
    day.replace_event(sequence, metadata=meta)
    return sequence


def _caused(day: TamperedLog, sequence: int) -> int:
    meta = type(day.events[0].metadata)(id="another", correlation="c", causation="another")
    day.replace_event(sequence, metadata=meta)
    return sequence


@pytest.mark.parametrize("name", VIOLATIONS)
async def test_every_violated_invariant_is_found(name: str) -> None:
    alter, expected = VIOLATIONS[name]
    day = await TamperedLog().write_events()
    sequence = alter(day)
    found, _ = await day.verify()
    there = [str(one) for one in found if one.sequence == sequence]
    assert any(expected in one for one in there), f"{expected!r} at {sequence} is not in {found}"
    where = next(one for one in found if one.sequence == sequence)
    assert where.owner == day.events[sequence - 1].event_subject.owner


REMOVED_EVENTS = {
    "trade.executed": "its trade does not follow it",
    "alert.raised": "its alert does not follow it",
    "decision.made": "its decision does not follow it",
    "position.changed": "came of the trade",
    "order.placed": "never placed",
    "strategy.stop_loss_executed": "no event says that the exit was executed",
    "rule.armed": "the rule was not armed",
}


@pytest.mark.parametrize("tag", REMOVED_EVENTS)
async def test_a_removed_event_is_found(tag: str) -> None:
    day = await TamperedLog().write_events()
    day.remove_event(
        day.events[: day.server.journal.last // 2][0].sequence if tag == "" else _early(day, tag)
    )
    found, _ = await day.verify()
    assert any(REMOVED_EVENTS[tag] in one.what for one in found), found


def _early(day: TamperedLog, tag: str) -> int:
    """Return an event of `tag` that is followed by more events, also of its entity."""
    last = {one.subject: one.sequence for one in day.events}
    alone = tag.startswith(("trade", "alert", "decision"))
    return [
        one.sequence
        for one in day.events
        if one.tag.startswith(tag) and (alone or last[one.subject] > one.sequence + 2)
    ][-3]


async def test_a_removed_second_event_of_a_trade_through_zero_is_found() -> None:
    day = await TamperedLog().write_events()
    sequence = next(
        closed.sequence + 1
        for closed, opened in itertools.pairwise(day.events)
        if closed.tag.startswith("position.closed")
        and opened.tag.startswith("position.opened")
        and closed.subject == opened.subject
        and closed.metadata.causation == opened.metadata.causation
    )
    day.remove_event(sequence)
    found, _ = await day.verify()
    assert any(one.what == "no PositionOpened came of the trade" for one in found), found


async def test_a_position_without_events_is_found_once_for_each_trade() -> None:
    """A later handled trade proves that these were skipped, so none of them is pending."""
    day = await TamperedLog().write_events()
    frontier = day.find_sequence("position.")
    subject = next(
        one.subject
        for one in day.events
        if one.tag.startswith("position.opened") and one.subject != day.events[frontier - 1].subject
    )
    removed = [one.sequence for one in day.events if one.subject == subject]
    for sequence in reversed(removed):
        day.remove_event(sequence)
    found, summary = await day.verify()
    missing = [one for one in found if "came of the trade" in one.what]
    assert len(missing) == len(removed)
    assert {one.owner for one in missing} == {subject.split(".")[1]}
    assert not summary.pending


class LogWithGap(MemoryEventLog):
    """A log that lost two messages, as after a fault of the file system."""

    async def page(self, filter: str, **how: Any) -> Page:  # noqa: A002
        page = await super().page(filter, **how)
        return Page([one for one in page.events if one.sequence not in (11, 12)], page.remaining)


async def test_missing_sequences_are_found() -> None:
    day = await TamperedLog().write_events()
    day.log = LogWithGap(day.server)
    found, _ = await day.verify()
    assert str(found[0]) == "- log - @11: 11 to 12 are not in the log"


async def test_unknown_event_types_are_counted_and_are_not_a_difference() -> None:
    day = await TamperedLog().write_events()
    sequence = day.find_sequence("item.analysed")
    day.replace_event(sequence, tag="moon.landed.v1")
    found, summary = await day.verify()
    assert found == []
    assert summary.unknown == {"moon.landed.v1": 1}


async def test_unhandled_events_are_pending_until_the_checkpoint_passes_them() -> None:
    day = TamperedLog()
    day.generator.add_strategy("user-0")
    for batch in day.generator.full_batches(include_partial=True):
        await day.log.append(batch)
    found, summary = await day.verify()
    assert found == []
    assert summary.pending["trades into positions"] == 5
    assert summary.pending["notifications"] >= 5
    await day.save_cursor("notifications-of-orders")
    found, _ = await day.verify()
    assert {one.what for one in found} == {"its user was not notified"}
    assert len(found) == 4


async def test_a_fill_that_was_not_applied_to_its_strategy_is_found() -> None:
    day = await TamperedLog().write_events()
    await day.save_cursor("strategies-fills")
    assert (await day.verify())[0] == []
    sequence = _early(day, "strategy.traded")
    cause = day.events[sequence - 1].metadata.causation
    day.remove_event(sequence)
    await day.save_cursor("strategies-fills")
    found, _ = await day.verify()
    fill = next(one.sequence for one in day.events if one.metadata.id == cause)
    assert any(one.sequence == fill and "not applied to its strategy" in one.what for one in found)


async def test_verify_can_be_limited_to_one_user() -> None:
    day = await TamperedLog().write_events()
    sequence = day.find_sequence("order.filled")
    owner = day.events[sequence - 1].event_subject.owner
    day.alter_fields(sequence, order__filledQty=plus("0.01"))
    found, summary = await day.verify(user=owner)
    assert {one.owner for one in found} == {owner}
    assert summary.events == sum(one.event_subject.owner == owner for one in day.events)
    other = next(user for user in day.generator.users if user != owner)
    assert (await day.verify(user=other))[0] == []


async def test_a_trimmed_log_is_checked_from_its_first_event() -> None:
    day = await TamperedLog().write_events(2000)
    sequence = day.find_sequence("position.changed")
    day.server.trim(700)
    found, summary = await day.verify()
    assert found == []
    assert summary.first == 701
    day.server.journal._events[sequence - 701] = _forged(day, sequence)
    found, _ = await day.verify()
    assert any(one.sequence == sequence and "quantity is" in one.what for one in found)


def _forged(day: TamperedLog, sequence: int) -> Any:
    old = day.server.journal._events[sequence - 701]
    assert old.sequence == sequence
    other = TamperedLog()
    other.server.journal._events = [old]
    other.alter_fields(1, position__quantity=plus("0.25"))
    return other.events[0]
