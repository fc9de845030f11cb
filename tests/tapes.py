"""A tape written at once: what a trading day leaves in the log, without the services that leave it.

The services' own deciders decide; only time, chance and the order of things are made up here, all
from a seed. `Tape` gives drafts for an empty log, in order: the n-th becomes sequence n. `write`
appends them in atomic batches, a million in a minute or two.
"""

import random
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from services.alerts.domain.commands import Arm, Create, Delete, Trigger
from services.alerts.domain.notices import NOTIFICATIONS, Notify
from services.alerts.domain.notices import subject as notice_subject
from services.alerts.domain.rules import RULES
from services.alerts.domain.wording import notice
from services.orders.commands import Accept, Cancel, Fill, Place, Reject
from services.orders.domain import ORDERS
from services.positions.domain import POSITIONS, Key, taking
from services.strategies import commands as plans
from services.strategies.domain import STRATEGIES
from tapewire.events import (
    Action,
    AlertLevel,
    Breakout,
    Configuration,
    ConfigurationChanged,
    ConfigurationCreated,
    Event,
    Item,
    ItemAnalysed,
    NotificationsRead,
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
)
from tapewire.log import EVERYBODY, Decider, Draft, EventLog, Happening, Meta, Subject
from tapewire.log.port import BATCH_EVENTS
from tapewire.runtime.contracts.orders import order_id

START = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
SYMBOLS = ("IBM", "SPY", "BRK.B", "MSFT")
LAG = 5
"""Trades that positions are behind."""


class Tape:
    """Events of `users` users. Ask for `day`, or for one thing after the other, and `finish`."""

    def __init__(self, users: int = 3, seed: int = 1) -> None:
        self.chance = random.Random(seed)
        self.users = [f"user-{number}" for number in range(users)]
        self.drafts: deque[Draft] = deque()
        self.sequence = 0
        self._states: dict[str, Any] = {}
        self._numbers = 0
        self._trades: deque[tuple[int, Draft]] = deque()
        self._notify: deque[Draft] = deque()

    def day(self, events: int) -> Iterator[list[Draft]]:
        """At least `events` events, in batches that one append can hold."""
        while self.sequence < events:
            self.step()
            yield from self.batches()
        self.finish()
        yield from self.batches(all_=True)

    def batches(self, *, all_: bool = False) -> Iterator[list[Draft]]:
        """What is drafted so far, as far as it fills batches; each thing whole."""
        while len(self.drafts) >= BATCH_EVENTS or (all_ and self.drafts):
            size = min(len(self.drafts), BATCH_EVENTS)
            yield [self.drafts.popleft() for _ in range(size)]

    def step(self) -> None:
        """One thing of many."""
        user, dice = self.chance.choice(self.users), self.chance.random()
        if dice < 0.80:
            self.order(user)
        elif dice < 0.88:
            self.strategy(user)
        elif dice < 0.93:
            self.rule(user)
        elif dice < 0.97:
            self.item()
        else:
            self.configuration(user)
        self._follow()

    def at(self) -> datetime:
        """Now: the tape's clock moves with its events."""
        return START + timedelta(milliseconds=20 * self.sequence)

    def order(self, user: str) -> Order:
        """An order that is filled in one to three parts, canceled, or rejected."""
        number, chance = self._number(), self.chance
        limit = Decimal(chance.randrange(900, 1100)) / 10 if chance.random() < 0.3 else None
        return self.place(
            user,
            f"c-{number}",
            chance.choice(list(Side)),
            Decimal(chance.randrange(1, 400)) / 4,
            limit=limit,
            parts=chance.choice((1, 1, 1, 2, 3)),
            end=chance.choice(("filled",) * 8 + ("canceled", "rejected", "open")),
        )

    def place(
        self,
        user: str,
        name: str,
        side: Side,
        qty: Decimal,
        *,
        limit: Decimal | None = None,
        parts: int = 1,
        end: str = "filled",
        symbol: str | None = None,
        strategy_id: str | None = None,
    ) -> Order:
        """An order, worked to its `end`: filled, canceled (after all parts but one), rejected or
        open."""
        id_ = order_id(user, name)
        subject = Subject(user, "orders", id_)
        of = {"user": user}
        self._decide(
            ORDERS,
            subject,
            Place(
                id=f"place-{id_}",
                at=self.at(),
                symbol=symbol or self.chance.choice(SYMBOLS),
                side=side,
                type=OrderType.MARKET if limit is None else OrderType.LIMIT,
                qty=qty,
                limit_price=limit,
                client_order_id=name,
                strategy_id=strategy_id,
                **of,
            ),
        )
        if end == "rejected":
            reject = Reject(id=f"{id_}:reject", at=self.at(), reason="too much", **of)
            self._decide(ORDERS, subject, reject)
            return self._order(subject)
        self._decide(ORDERS, subject, Accept(id=f"{id_}:accept", at=self.at(), **of))
        part = (qty / parts).quantize(Decimal("0.01"))
        for number in range(parts if end == "filled" else parts - 1):
            before = self._order(subject).filled_qty
            price = limit or Decimal(self.chance.randrange(90_000, 110_000)) / 1000
            fill = Fill(
                id=f"{id_}:fill:{before}",
                at=self.at(),
                qty=qty - before if number == parts - 1 else part,
                price=price,
                filled_before=before,
                **of,
            )
            self._decide(ORDERS, subject, fill)
        if end == "canceled":
            cancel = Cancel(id=f"{id_}:cancel", at=self.at(), reason="by the user", **of)
            self._decide(ORDERS, subject, cancel)
        return self._order(subject)

    def _order(self, subject: Subject) -> Order:
        found: Order = self._states[str(subject)].order
        return found

    def strategy(self, user: str) -> None:
        """A strategy that buys, is stopped out, and buys and sells to its end."""
        number = self._number()
        id_ = f"strategy-{number}"
        subject = Subject(user, "strategies", id_)
        of = {"user": user, "strategy_id": id_}
        settings = plans.Settings(
            name="breakout",
            symbol="IBM",
            rule=Breakout(window=5),
            quantity=Decimal(10),
            stop_loss=StopLoss(kind=StopLossKind.FIXED, percent=Decimal(2)),
            max_trades=4,
        )
        create = plans.Create(id=f"create-{id_}", at=self.at(), settings=settings, **of)
        self._decide(STRATEGIES, subject, create)
        self._decide(STRATEGIES, subject, plans.Start(id=f"start-{id_}", at=self.at(), **of))
        self._signal(subject, of, Action.BUY, parts=2)
        self._stop_out(subject, of)
        self._signal(subject, of, Action.BUY, parts=1)
        if number % 3 == 0:
            stop = plans.Stop(id=f"stop-{id_}", at=self.at(), **of)
            self._decide(STRATEGIES, subject, stop)
        else:
            self._signal(subject, of, Action.SELL, parts=1)

    def _signal(self, subject: Subject, of: dict[str, str], action: Action, parts: int) -> None:
        orders = self._states[str(subject)].strategy.orders
        act = plans.Act(
            id=f"{subject.entity}-act-{orders + 1}",
            at=self.at(),
            orders=orders,
            action=action,
            confidence=Decimal("0.75"),
            reasoning="above the highest of 5",
            price=Decimal(100),
            decided_at=self.at(),
            **of,
        )
        self._decide(STRATEGIES, subject, act)
        self._work(subject, of, parts)

    def _stop_out(self, subject: Subject, of: dict[str, str]) -> None:
        strategy = self._states[str(subject)].strategy
        trigger = plans.TriggerStopLoss(
            id=f"{subject.entity}.stop-loss.{strategy.orders + 1}",
            at=self.at(),
            orders=strategy.orders,
            side=Side.SELL,
            price=Decimal("97.5"),
            trigger_price=Decimal(98),
            **of,
        )
        self._decide(STRATEGIES, subject, trigger)
        self._work(subject, of, 1)

    def _work(self, subject: Subject, of: dict[str, str], parts: int) -> None:
        """Place and fill the order under way, and tell the strategy of the fills."""
        order = self._states[str(subject)].strategy.order
        first = len(self.drafts)
        self.place(
            subject.owner,
            order.client_order_id,
            order.side,
            order.qty,
            parts=parts,
            symbol="IBM",
            strategy_id=subject.entity,
        )
        for draft in [*self.drafts][first:]:
            event = draft.event
            if isinstance(event, OrderFilled):
                fill = plans.Fill(
                    id=draft.meta.id,
                    at=self.at(),
                    order_id=order.order_id,
                    trade_id=event.trade_id,
                    filled_qty=event.order.filled_qty,
                    price=event.price,
                    **of,
                )
                self._decide(STRATEGIES, subject, fill)

    def rule(self, user: str) -> None:
        """A rule that is triggered, armed, triggered again; half of them are then deleted."""
        number = self._number()
        id_ = f"rule-{number}"
        subject = Subject(user, "rules", id_)
        create = Create(
            id=f"create-{id_}",
            at=self.at(),
            user=user,
            rule_id=id_,
            kind=RuleKind.PRICE_ABOVE,
            level=AlertLevel.INFO,
            symbol="IBM",
            price=Decimal(100),
        )
        self._decide(RULES, subject, create)
        self._trigger(subject, create.id)
        arm = Arm(id=f"arm-{id_}", at=self.at(), user=user)
        self._decide(RULES, subject, arm)
        if number % 2:
            self._trigger(subject, arm.id)
            self._decide(RULES, subject, Delete(id=f"delete-{id_}", at=self.at(), user=user))

    def _trigger(self, subject: Subject, arming: str) -> None:
        trigger = Trigger(
            id=f"{arming}:{subject.entity}",
            at=self.at(),
            user=subject.owner,
            arming=arming,
            symbol="IBM",
            message="IBM is above 100",
        )
        self._decide(RULES, subject, trigger)

    def item(self) -> None:
        """An analysed item."""
        id_ = f"item-{self._number()}"
        item = Item(
            id=id_,
            title="Quarterly figures",
            source="wire",
            url=None,
            tickers=("IBM",),
            tags=("earnings",),
            sentiment=Sentiment.POSITIVE,
            score=Decimal("0.4"),
            timestamp=self.at(),
        )
        subject = Subject(EVERYBODY, "items", id_)
        self._store([Happening(subject, ItemAnalysed(item=item, scored=True))], f"take-{id_}")

    def configuration(self, user: str) -> None:
        """A configuration, made and changed."""
        id_ = f"configuration-{self._number()}"
        subject = Subject(user, "configurations", id_)
        kinds = (("create", ConfigurationCreated), ("change", ConfigurationChanged))
        for word, kind in kinds:
            made = Configuration(id=id_, name=word, tickers=("IBM",), tags=(), timestamp=self.at())
            command = f"{word}-{id_}"
            event = kind(configuration=made, command_id=command)
            self._store([Happening(subject, event)], command)

    def read_all(self, user: str) -> None:
        """The user reads everything."""
        command = f"read-{self._number()}"
        event = NotificationsRead(ids=None, timestamp=self.at(), command_id=command)
        self._store([Happening(Subject(user, "notifications", "all"), event)], command)

    def finish(self) -> None:
        """Everything that follows from what there is."""
        while self._trades or self._notify:
            self._follow(0)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _decide(self, decider: Decider[Any, Any], subject: Subject, command: Any) -> None:
        state = self._states.get(str(subject), decider.initial)
        happenings = decider.decide(state, command)
        for happening in happenings:
            if happening.subject == subject:
                state = decider.evolve(state, happening.event)
        self._states[str(subject)] = state
        self._store(happenings, command.id)

    def _store(self, happenings: Sequence[Happening], command: str) -> None:
        for happening in happenings:
            self._draft(happening.subject, happening.event, f"{command}.{self.sequence}", command)

    def _draft(self, subject: Subject, event: Event, id_: str, causation: str) -> None:
        meta = Meta(id=id_, correlation="c", causation=causation)
        draft = Draft(subject=subject, event=event, meta=meta)
        self.sequence += 1
        self.drafts.append(draft)
        if isinstance(event, TradeExecuted):
            self._trades.append((self.sequence, draft))
        if not isinstance(event, StrategySignaled):
            self._notify.append(draft)

    def _follow(self, lag: int = LAG) -> None:
        """Positions of trades, and notifications, a little later than their causes."""
        while len(self._trades) > lag:
            sequence, draft = self._trades.popleft()
            assert isinstance(draft.event, TradeExecuted)
            key = Key(draft.subject.owner, draft.event.symbol)
            take = taking(draft.meta.id, key.user, sequence, draft.event)
            self._decide(POSITIONS, key.subject, take)
        while self._notify:
            draft = self._notify.popleft()
            found = notice(draft.event)
            if found is not None:
                user = draft.subject.owner
                command = Notify(id=f"{draft.meta.id}:notify", user=user, notice=found)
                self._decide(NOTIFICATIONS, notice_subject(command), command)
        self._let_go()

    def _let_go(self) -> None:
        """States of what is over would fill the memory of whoever writes a long tape."""
        if len(self._states) > 50_000:
            self._states = {
                key: state
                for key, state in self._states.items()
                if key.split(".")[2] == "positions"
            }


async def write(log: EventLog, tape: Tape, events: int) -> int:
    """Write a day of at least `events` events to an empty log; how many there are."""
    for batch in tape.day(events):
        await log.append(batch)
    return tape.sequence
