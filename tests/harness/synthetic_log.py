"""A synthetic event log: the events that a trading day leaves, without the services.

The services' own deciders decide; only times, random choices and the order of events are generated,
all from a seed. `SyntheticLog` yields drafts for an empty log, in order: the n-th becomes sequence
n. `append_synthetic_log` appends them in atomic batches, a million in a minute or two.
"""

import random
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tapewire.events import (
    Action,
    AlertLevel,
    Breakout,
    Configuration,
    ConfigurationChanged,
    ConfigurationCreated,
    Event,
    ExitReason,
    Item,
    ItemAnalysed,
    Order,
    OrderFilled,
    OrderType,
    RuleKind,
    Sentiment,
    Side,
    StopLoss,
    StopLossKind,
    StrategySignaled,
    TradeExecuted,
    WaitingReason,
)
from tapewire.log import (
    EVERYBODY,
    Decider,
    EventDraft,
    EventLog,
    EventMetadata,
    EventSubject,
    NewEvent,
)
from tapewire.log.ports import MAX_BATCH_EVENTS
from tapewire.runtime.contracts.orders import order_id
from tapewire_services.alerts.domain.commands import (
    ArmRuleCommand,
    CreateRuleCommand,
    DeleteRuleCommand,
    TriggerRuleCommand,
)
from tapewire_services.alerts.domain.event_messages import to_notification_content
from tapewire_services.alerts.domain.notifications import (
    NOTIFICATION_DECIDER,
    CreateNotificationCommand,
)
from tapewire_services.alerts.domain.notifications import notification_subject as notice_subject
from tapewire_services.alerts.domain.rules import RULE_DECIDER
from tapewire_services.orders.domain.commands import (
    AcceptOrderCommand,
    CancelOrderCommand,
    FillOrderCommand,
    NoteWaitingCommand,
    PlaceOrderCommand,
    RejectOrderCommand,
)
from tapewire_services.orders.domain.order import ORDER_DECIDER
from tapewire_services.positions.domain.position import (
    POSITION_DECIDER,
    PositionKey,
    build_trade_command,
)
from tapewire_services.strategies.domain import commands as plans
from tapewire_services.strategies.domain.strategy import STRATEGY_DECIDER

START_TIME = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
SYMBOLS = ("IBM", "SPY", "BRK.B", "MSFT")
POSITION_LAG_TRADES = 5
"""The number of trades by which positions lag."""


class SyntheticLog:
    """Events of `users` users. Call `generate_batches`, or add activities one by one and then
    `add_pending_consequences`."""

    def __init__(self, users: int = 3, seed: int = 1) -> None:
        self.rng = random.Random(seed)
        self.users = [f"user-{number}" for number in range(users)]
        self.drafts: deque[EventDraft] = deque()
        self.sequence = 0
        self._states: dict[str, Any] = {}
        self._last_number = 0
        self._pending_trades: deque[tuple[int, EventDraft]] = deque()
        self._pending_notifications: deque[EventDraft] = deque()

    def generate_batches(self, events: int) -> Iterator[list[EventDraft]]:
        """At least `events` events, in batches that fit one append."""
        while self.sequence < events:
            self.add_random_activity()
            yield from self.full_batches()
        self.add_pending_consequences()
        yield from self.full_batches(include_partial=True)

    def full_batches(self, *, include_partial: bool = False) -> Iterator[list[EventDraft]]:
        """The drafts so far, in full batches; with `include_partial` also the rest."""
        while len(self.drafts) >= MAX_BATCH_EVENTS or (include_partial and self.drafts):
            size = min(len(self.drafts), MAX_BATCH_EVENTS)
            yield [self.drafts.popleft() for _ in range(size)]

    def add_random_activity(self) -> None:
        """Add one random activity."""
        user, dice = self.rng.choice(self.users), self.rng.random()
        if dice < 0.80:
            self.add_random_order(user)
        elif dice < 0.88:
            self.add_strategy(user)
        elif dice < 0.93:
            self.add_alert_rule(user)
        elif dice < 0.97:
            self.add_item()
        else:
            self.add_configuration(user)
        self._add_consequences()

    def now(self) -> datetime:
        """The current time of the log, which advances with its events."""
        return START_TIME + timedelta(milliseconds=20 * self.sequence)

    def add_random_order(self, user: str) -> Order:
        """Add an order that is filled in one to three parts, canceled, or rejected."""
        number, rng = self._next_number(), self.rng
        limit = Decimal(rng.randrange(900, 1100)) / 10 if rng.random() < 0.3 else None
        return self.add_order(
            user,
            f"c-{number}",
            rng.choice(list(Side)),
            Decimal(rng.randrange(1, 400)) / 4,
            limit=limit,
            fill_count=rng.choice((1, 1, 1, 2, 3)),
            final_status=rng.choice(("filled",) * 8 + ("canceled", "rejected", "open")),
        )

    def add_order(
        self,
        user: str,
        client_order_id: str,
        side: Side,
        qty: Decimal,
        *,
        limit: Decimal | None = None,
        fill_count: int = 1,
        final_status: str = "filled",
        symbol: str | None = None,
        strategy_id: str | None = None,
    ) -> Order:
        """Add an order and work it to its `final_status`: filled, canceled (after all parts but
        one), rejected or open."""
        id_ = order_id(user, client_order_id)
        subject = EventSubject(user, "orders", id_)
        self._decide(
            ORDER_DECIDER,
            subject,
            PlaceOrderCommand(
                id=f"place-{id_}",
                at=self.now(),
                symbol=symbol or self.rng.choice(SYMBOLS),
                side=side,
                type=OrderType.MARKET if limit is None else OrderType.LIMIT,
                qty=qty,
                limit_price=limit,
                client_order_id=client_order_id,
                strategy_id=strategy_id,
                user=user,
            ),
        )
        if final_status == "rejected":
            reject = RejectOrderCommand(
                id=f"{id_}:reject", at=self.now(), reason="too much", user=user
            )
            self._decide(ORDER_DECIDER, subject, reject)
            return self._order_state(subject)
        self._decide(
            ORDER_DECIDER, subject, AcceptOrderCommand(id=f"{id_}:accept", at=self.now(), user=user)
        )
        part = (qty / fill_count).quantize(Decimal("0.01"))
        for number in range(fill_count if final_status == "filled" else fill_count - 1):
            before = self._order_state(subject).filled_qty
            if number == 1:
                self._note_waiting(subject, before)
            price = limit or Decimal(self.rng.randrange(90_000, 110_000)) / 1000
            fill = FillOrderCommand(
                id=f"{id_}:fill:{before}",
                at=self.now(),
                qty=qty - before if number == fill_count - 1 else part,
                price=price,
                filled_before=before,
                user=user,
            )
            self._decide(ORDER_DECIDER, subject, fill)
        if final_status == "canceled":
            cancel = CancelOrderCommand(
                id=f"{id_}:cancel", at=self.now(), reason="by the user", user=user
            )
            self._decide(ORDER_DECIDER, subject, cancel)
        return self._order_state(subject)

    def _note_waiting(self, subject: EventSubject, filled_qty: Decimal) -> None:
        wait = NoteWaitingCommand(
            id=f"{subject.entity}:waiting:{filled_qty}",
            at=self.now(),
            user=subject.owner,
            waiting=WaitingReason.NO_OFFER,
            filled_before=filled_qty,
        )
        self._decide(ORDER_DECIDER, subject, wait)

    def _order_state(self, subject: EventSubject) -> Order:
        found: Order = self._states[str(subject)].order
        return found

    def add_strategy(self, user: str) -> None:
        """Add a strategy that buys, is stopped out, and buys and sells until its end."""
        number = self._next_number()
        id_ = f"strategy-{number}"
        subject = EventSubject(user, "strategies", id_)
        of: dict[str, Any] = {"user": user, "strategy_id": id_}
        settings = plans.StrategySettings(
            name="breakout",
            symbol="IBM",
            rule=Breakout(window=5),
            quantity=Decimal(10),
            stop_loss=StopLoss(kind=StopLossKind.FIXED, percent=Decimal(2)),
            max_trades=4,
        )
        create = plans.CreateStrategyCommand(
            id=f"create-{id_}", at=self.now(), settings=settings, **of
        )
        self._decide(STRATEGY_DECIDER, subject, create)
        self._decide(
            STRATEGY_DECIDER,
            subject,
            plans.StartStrategyCommand(id=f"start-{id_}", at=self.now(), **of),
        )
        self._add_signal(subject, of, Action.BUY, fill_count=2)
        self._add_stop_loss(subject, of)
        self._add_signal(subject, of, Action.BUY, fill_count=1)
        if number % 3 == 0:
            stop = plans.StopStrategyCommand(id=f"stop-{id_}", at=self.now(), **of)
            self._decide(STRATEGY_DECIDER, subject, stop)
        else:
            self._add_signal(subject, of, Action.SELL, fill_count=1)

    def _add_signal(
        self, subject: EventSubject, identity: dict[str, Any], action: Action, fill_count: int
    ) -> None:
        orders = self._states[str(subject)].strategy.orders
        act = plans.ActOnSignalCommand(
            id=f"{subject.entity}-act-{orders + 1}",
            at=self.now(),
            expected_order_count=orders,
            action=action,
            confidence=Decimal("0.75"),
            reasoning="above the highest of 5",
            price=Decimal(100),
            decided_at=self.now(),
            **identity,
        )
        self._decide(STRATEGY_DECIDER, subject, act)
        self._fill_strategy_order(subject, identity, fill_count)

    def _add_stop_loss(self, subject: EventSubject, identity: dict[str, Any]) -> None:
        strategy = self._states[str(subject)].strategy
        trigger = plans.TriggerExitCommand(
            id=f"{subject.entity}.stop-loss.{strategy.orders + 1}",
            at=self.now(),
            expected_order_count=strategy.orders,
            reason=ExitReason.STOP_LOSS,
            side=Side.SELL,
            price=Decimal("97.5"),
            trigger_price=Decimal(98),
            **identity,
        )
        self._decide(STRATEGY_DECIDER, subject, trigger)
        self._fill_strategy_order(subject, identity, 1)

    def _fill_strategy_order(
        self, subject: EventSubject, identity: dict[str, Any], fill_count: int
    ) -> None:
        """Place and fill the strategy's current order, and report the fills to the strategy."""
        order = self._states[str(subject)].strategy.order
        first = len(self.drafts)
        self.add_order(
            subject.owner,
            order.client_order_id,
            order.side,
            order.qty,
            fill_count=fill_count,
            symbol="IBM",
            strategy_id=subject.entity,
        )
        for draft in [*self.drafts][first:]:
            event = draft.event
            if isinstance(event, OrderFilled):
                fill = plans.ApplyFillCommand(
                    id=draft.metadata.id,
                    at=self.now(),
                    order_id=order.order_id,
                    trade_id=event.trade_id,
                    filled_qty=event.order.filled_qty,
                    price=event.price,
                    **identity,
                )
                self._decide(STRATEGY_DECIDER, subject, fill)

    def add_alert_rule(self, user: str) -> None:
        """Add a rule that is triggered, armed and triggered again; half of these rules are then
        deleted."""
        number = self._next_number()
        id_ = f"rule-{number}"
        subject = EventSubject(user, "rules", id_)
        create = CreateRuleCommand(
            id=f"create-{id_}",
            at=self.now(),
            user=user,
            rule_id=id_,
            kind=RuleKind.PRICE_ABOVE,
            level=AlertLevel.INFO,
            symbol="IBM",
            price=Decimal(100),
        )
        self._decide(RULE_DECIDER, subject, create)
        self._trigger_rule(subject, create.id)
        arm = ArmRuleCommand(id=f"arm-{id_}", at=self.now(), user=user)
        self._decide(RULE_DECIDER, subject, arm)
        if number % 2:
            self._trigger_rule(subject, arm.id)
            self._decide(
                RULE_DECIDER,
                subject,
                DeleteRuleCommand(id=f"delete-{id_}", at=self.now(), user=user),
            )

    def _trigger_rule(self, subject: EventSubject, arming: str) -> None:
        trigger = TriggerRuleCommand(
            id=f"{arming}:{subject.entity}",
            at=self.now(),
            user=subject.owner,
            arming=arming,
            symbol="IBM",
            message="IBM is above 100",
        )
        self._decide(RULE_DECIDER, subject, trigger)

    def add_item(self) -> None:
        """Add an analysed item."""
        id_ = f"item-{self._next_number()}"
        item = Item(
            id=id_,
            title="Quarterly figures",
            source="wire",
            url=None,
            tickers=("IBM",),
            tags=("earnings",),
            sentiment=Sentiment.POSITIVE,
            score=Decimal("0.4"),
            timestamp=self.now(),
        )
        subject = EventSubject(EVERYBODY, "items", id_)
        self._append_new_events(
            [NewEvent(subject, ItemAnalysed(item=item, scored=True))], f"take-{id_}"
        )

    def add_configuration(self, user: str) -> None:
        """Add a configuration that is created and changed."""
        id_ = f"configuration-{self._next_number()}"
        subject = EventSubject(user, "configurations", id_)
        kinds = (("create", ConfigurationCreated), ("change", ConfigurationChanged))
        for word, kind in kinds:
            made = Configuration(id=id_, name=word, tickers=("IBM",), tags=(), timestamp=self.now())
            command = f"{word}-{id_}"
            event = kind(configuration=made, command_id=command)
            self._append_new_events([NewEvent(subject, event)], command)

    def add_pending_consequences(self) -> None:
        """Add everything that follows from the earlier events."""
        while self._pending_trades or self._pending_notifications:
            self._add_consequences(0)

    def _next_number(self) -> int:
        self._last_number += 1
        return self._last_number

    def _decide(self, decider: Decider[Any, Any], subject: EventSubject, command: Any) -> None:
        state = self._states.get(str(subject), decider.initial_state)
        new_events = decider.decide(state, command)
        for new_event in new_events:
            if new_event.subject == subject:
                state = decider.evolve(state, new_event.event)
        self._states[str(subject)] = state
        self._append_new_events(new_events, command.id)

    def _append_new_events(self, new_events: Sequence[NewEvent], command: str) -> None:
        for new_event in new_events:
            self._append_draft(
                new_event.subject, new_event.event, f"{command}.{self.sequence}", command
            )

    def _append_draft(self, subject: EventSubject, event: Event, id_: str, causation: str) -> None:
        meta = EventMetadata(id=id_, correlation="c", causation=causation)
        draft = EventDraft(subject=subject, event=event, metadata=meta)
        self.sequence += 1
        self.drafts.append(draft)
        if isinstance(event, TradeExecuted):
            self._pending_trades.append((self.sequence, draft))
        if not isinstance(event, StrategySignaled):
            self._pending_notifications.append(draft)

    def _add_consequences(self, lag: int = POSITION_LAG_TRADES) -> None:
        """Add positions of trades, and notifications, a little later than their causes."""
        while len(self._pending_trades) > lag:
            sequence, draft = self._pending_trades.popleft()
            assert isinstance(draft.event, TradeExecuted)
            key = PositionKey(draft.subject.owner, draft.event.symbol)
            trade_command = build_trade_command(draft.metadata.id, key.user, sequence, draft.event)
            self._decide(POSITION_DECIDER, key.subject, trade_command)
        while self._pending_notifications:
            draft = self._pending_notifications.popleft()
            found = to_notification_content(draft.event)
            if found is not None:
                user = draft.subject.owner
                command = CreateNotificationCommand(
                    id=f"{draft.metadata.id}:notify", user=user, content=found
                )
                self._decide(NOTIFICATION_DECIDER, notice_subject(command), command)
        self._evict_states()

    def _evict_states(self) -> None:
        """Drop states of finished entities, because they would fill the memory while a long log is
        written."""
        if len(self._states) > 50_000:
            self._states = {
                key: state
                for key, state in self._states.items()
                if key.split(".")[2] == "positions"
            }


async def append_synthetic_log(log: EventLog, synthetic_log: SyntheticLog, events: int) -> int:
    """Append at least `events` events to an empty log; return their number."""
    for batch in synthetic_log.generate_batches(events):
        await log.append(batch)
    return synthetic_log.sequence
