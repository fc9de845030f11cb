"""What the last event of an interrupted batch lacks, for `tapewire journal repair`.

A service that decides several events together adds a case to `find_missing_events`.
"""

from collections.abc import Sequence

from tapewire.events import (
    Event,
    OrderExecutionCorrected,
    OrderFilled,
    PositionClosed,
    RuleTriggered,
    StrategyEvent,
    TradeCorrected,
    TradeExecuted,
    Undecodable,
    UnknownType,
)
from tapewire.log import EventSubject, NewEvent, RecordedEvent
from tapewire.log.interrupted_batches import CannotComplete
from tapewire_services.alerts.domain.interrupted_trigger import alert_of_interrupted_trigger
from tapewire_services.orders.domain.corrections import alert_of_correction, trade_of_correction
from tapewire_services.orders.domain.executions import alert_of_trade, trade_of_fill
from tapewire_services.orders.domain.order import subject_of_event
from tapewire_services.strategies.domain.interrupted_decision import missing_strategy_events
from tapewire_services.strategies.domain.strategy import (
    subject_of_event as subject_of_strategy_event,
)


def find_missing_events(history: Sequence[RecordedEvent]) -> Sequence[NewEvent]:
    """The events that were decided together with the last one of `history`, all events of an entity
    so far, and come after it. An idempotency key is not among them: the same request stores it.

    Raises:
        CannotComplete: they cannot be derived.
    """
    try:
        user, event = history[-1].event_subject.owner, history[-1].event
        if isinstance(event, StrategyEvent):
            return _missing_strategy_events(user, history)
    except (UnknownType, Undecodable, ValueError) as error:
        raise CannotComplete(str(error)) from error
    match event:
        case OrderFilled():
            trade = trade_of_fill(event)
            return _to_new_events(user, [trade, alert_of_trade(trade)])
        case TradeExecuted():
            return _to_new_events(user, [alert_of_trade(event)])
        case OrderExecutionCorrected():
            corrected = trade_of_correction(event)
            return _to_new_events(user, [corrected, alert_of_correction(corrected)])
        case TradeCorrected():
            return _to_new_events(user, [alert_of_correction(event)])
        case RuleTriggered():
            alert = alert_of_interrupted_trigger(event)
            return [NewEvent(EventSubject(user, "alerts", alert.alert_id), alert)]
        case PositionClosed():
            raise CannotComplete(
                f"if trade {event.trade_id} went through zero, the rest of it is not in the "
                "position; `tapewire verify` says so"
            )
    return []


def _to_new_events(user: str, events: Sequence[Event | None]) -> list[NewEvent]:
    return [NewEvent(subject_of_event(user, each), each) for each in events if each is not None]


def _missing_strategy_events(user: str, history: Sequence[RecordedEvent]) -> list[NewEvent]:
    events: list[Event] = [recorded.event for recorded in history]
    strategy_events = [each for each in events if isinstance(each, StrategyEvent)]
    return [
        NewEvent(subject_of_strategy_event(user, history[-1].event_subject.entity, each), each)
        for each in missing_strategy_events(user, strategy_events)
    ]
