"""One strategy at work: its orders placed, its stop-loss watched, its decisions made.

Quotes come by `offer`, which watches the stop-loss there and then; what the log says of the
strategy comes by `update`. `work` runs two loops beside each other, so that a decision-maker that
takes its time delays no stop-loss: `_tend` places the order under way and triggers the stop-loss,
`_decide` asks the decision-maker. What either wants done, a `Hand` does.

What is known beyond the log is a `Mark`, which another process may begin with. Where that missed no
price it deals with the newest quote as this one would have, on the strategy as it was then: what
was done of it already is met by the same names again, and the rest is done.
"""

import asyncio
from collections import deque
from datetime import datetime, timedelta

import structlog

from services.strategies.hand import Desk, Hand
from services.strategies.maker import (
    DECIDE_SECONDS,
    DecisionMaker,
    Remembering,
    Situation,
    checked,
)
from services.strategies.marks import Mark, Place, continues
from services.strategies.placing import place
from services.strategies.roster import Member
from services.strategies.rules import Signal
from services.strategies.stoploss import Guard, watch
from services.strategies.telling import Told, worth_telling
from services.strategies.trading import closing_side, objection
from tapewire.events import Action, PriceUpdated, Strategy, StrategyStatus

QUOTES_KEPT = 256
"""Quotes that gather for a decision-maker; of more the newest."""
LATE_QUOTE = timedelta(seconds=2)
"""A quote that is older than the last one by no more comes late, or again; by more, it comes from
another feed, whose clock is behind."""
LATE_DECISIONS = 3
"""Decisions in a row that come too late before the strategy fails."""

logger = structlog.get_logger("strategies.seat")


class Seat:
    """Where one strategy is worked. `mark` is what is known of it from before."""

    def __init__(self, desk: Desk, member: Member, mark: Mark | None = None) -> None:
        mark = mark or Mark()
        self.guard: Guard = mark.guard
        self._place = mark.place
        self._memory: str | None = None
        self._again: tuple[datetime, Strategy] | None = None
        self._desk = desk
        self._hand = Hand(desk, member, self.update)
        self._placed: str | None = None
        self._maker: DecisionMaker | None = None
        self._late = 0
        self._told: Told | None = None
        self._quotes: deque[PriceUpdated] = deque(maxlen=QUOTES_KEPT)
        self._last: datetime | None = None
        self._began = self._deciding = self._tending = False
        self._quoted = asyncio.Event()
        self._changed = asyncio.Event()
        self._changed.set()

    @property
    def member(self) -> Member:
        """The strategy as it is known."""
        return self._hand.member

    @property
    def _strategy(self) -> Strategy:
        return self._hand.member.strategy

    @property
    def _started(self) -> bool:
        return self._strategy.status is StrategyStatus.STARTED

    @property
    def quoted_at(self) -> datetime | None:
        """The newest quote that it was offered."""
        return self._last

    @property
    def busy(self) -> bool:
        """Whether anything is being done, or is to be done now."""
        waiting = self._quoted.is_set() or self._changed.is_set()
        return waiting or self._tending or self._deciding

    def mark(self) -> Mark:
        """What is known beyond the log now. While a quote is being decided on, it is not dealt
        with: the place is the one before."""
        if self._last is not None and not self._quoted.is_set() and not self._deciding:
            self._place = Place(self._last, self.member, self.guard, self._told, self._learnt())
        return Mark(self.guard, self._place)

    def update(self, member: Member) -> None:
        """The log says that the strategy is so; what is older than known is passed over."""
        if member.sequence < self.member.sequence:
            return
        before, self._hand.member = self._strategy, member
        if not self._started or member.strategy.rule != before.rule:
            self._maker = self._memory = None
        if not self._started:
            self._quotes.clear()
        self._changed.set()

    def offer(self, quote: PriceUpdated) -> None:
        """A quote of its symbol; one that was offered before, or comes late, is passed over."""
        if self._began:
            self._take(quote)
        else:
            self._begin(quote)

    def _begin(self, quote: PriceUpdated) -> None:
        """The first quote: go on from the mark where that is possible."""
        self._began = True
        member, place = self.member, self._place
        if place is None or not continues(place, member, quote):
            self._place = None
            self._take(quote)
            return
        self.guard, self._told, self._last = place.guard, place.told, place.quoted_at
        self._memory = place.memory
        self._again = (quote.timestamp, place.member.strategy)
        self._hand.member = place.member
        self._take(quote)
        self.update(member)

    def _take(self, quote: PriceUpdated) -> None:
        late = self._last is not None and self._last - LATE_QUOTE <= quote.timestamp <= self._last
        if late:
            return
        self._last = quote.timestamp
        if not self._started:
            return
        self.guard = watch(self.guard, self._strategy, self.member.since, quote.price)
        if self.guard.touched is not None:
            self._changed.set()
        self._quotes.append(quote)
        self._quoted.set()

    async def work(self) -> None:
        """Until canceled. What fails unforeseen fails the strategy."""
        tasks = [asyncio.create_task(loop) for loop in (self._tend(), self._decide())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            error = next(task.exception() for task in tasks if task.done())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        logger.error("cannot be worked", subject=str(self.member.subject), exc_info=error)
        await self._hand.fail("internal", _said(error))

    async def _tend(self) -> None:
        """Place the order under way; trigger the stop-loss as soon as none is."""
        while True:
            self._tending = False
            await self._changed.wait()
            self._changed.clear()
            self._tending = True
            order = self._strategy.order
            if order is not None and order.client_order_id != self._placed:
                refused = await place(self._desk.orders, self.member, order, self._desk.chance)
                self._placed = order.client_order_id
                if refused is not None:
                    await self._hand.give_up(order.order_id, refused)
            await self._trigger()

    async def _trigger(self) -> None:
        guard, side = self.guard, closing_side(self._strategy)
        if guard.touched is None or side is None or self._strategy.order is not None:
            return
        if guard.side is side and guard.since == self.member.since:
            await self._hand.trigger(guard.touched, side)

    async def _decide(self) -> None:
        """Ask the decision-maker whenever there are new quotes."""
        while True:
            self._deciding = False
            await self._quoted.wait()
            self._quoted.clear()
            self._deciding = True
            quotes = tuple(self._quotes)
            self._quotes.clear()
            if not quotes or not self._started:
                continue
            known = self._known_at(quotes[-1])
            signal = await self._ask(quotes, known)
            if signal is not None and self._started:
                await self._follow(signal, quotes[-1], known)

    def _known_at(self, quote: PriceUpdated) -> Strategy:
        """The strategy that `quote` is to be decided on: as it is now, or, of a quote that another
        process may have dealt with, as it was before that."""
        again, self._again = self._again, None
        return again[1] if again is not None and again[0] == quote.timestamp else self._strategy

    def _learnt(self) -> str | None:
        """What the decision-maker knows by now."""
        if self._maker is None:
            return self._memory
        return self._maker.memory().decode() if isinstance(self._maker, Remembering) else None

    def _hired(self) -> DecisionMaker:
        """The decision-maker, who knows what the one before learnt."""
        if self._maker is None:
            self._maker = self._desk.hire(self._strategy)
            memory, self._memory = self._memory, None
            if memory is not None and isinstance(self._maker, Remembering):
                self._recall(self._maker, memory.encode())
        return self._maker

    def _recall(self, maker: Remembering, memory: bytes) -> None:
        try:
            maker.recall(memory)
        except ValueError as error:  # another program wrote it: begin without prices
            logger.warning("passes over what was learnt", error=str(error))
            self._maker = self._desk.hire(self._strategy)

    async def _ask(self, quotes: tuple[PriceUpdated, ...], known: Strategy) -> Signal | None:
        """The decision; None when there is none."""
        try:
            maker = self._hired()
            situation = Situation(self.member.user, known, quotes)
            async with asyncio.timeout(DECIDE_SECONDS):
                signal = checked(await maker.decide(situation))
        except TimeoutError:
            await self._count_late()
        except Exception as error:
            await self._hand.fail("rule_failed", _said(error))
        else:
            self._late = 0
            return signal
        return None

    async def _count_late(self) -> None:
        self._late += 1
        logger.warning("no decision in time", subject=str(self.member.subject), times=self._late)
        if self._late >= LATE_DECISIONS:
            details = f"no decision within {DECIDE_SECONDS:g} s, {self._late} times in a row"
            self._late = 0
            await self._hand.fail("decision_late", details)

    async def _follow(self, signal: Signal, quote: PriceUpdated, known: Strategy) -> None:
        """Act on the signal, or tell that it was declined."""
        why: str | None = None
        if signal.action is not Action.HOLD:
            why = self._stopping(known) or objection(known, signal.action)
            why = why or await self._hand.act(signal, quote, known.orders)
            if why is None:
                self._told = Told(signal.action, quote.timestamp)
                return
        if worth_telling(self._told, signal.action, quote.timestamp):
            told = await self._hand.tell(signal, quote, why)
            if told:
                self._told = Told(signal.action, quote.timestamp)

    def _stopping(self, known: Strategy) -> str | None:
        """A stop-loss that was touched goes before every signal: if both began an order at the same
        price, it would be a matter of luck which."""
        if self.guard.touched is None or self.guard.side is not closing_side(known):
            return None
        return f"the stop-loss at {self.guard.touched.trigger_price} was reached"


def _said(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}"
