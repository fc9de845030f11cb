"""What is done for one strategy: commands on it, decided on what the log says.

Each command has an id that follows from what it is about, so that two runners at once, or one that
tries again after an answer was lost, append nothing twice. A log that cannot be reached is tried
until it can, but for a decision, which is too old after `FRESH_SECONDS`.
"""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime

import msgspec
import structlog

from services.strategies.commands import Act, Command, EndOrder, Fail, TriggerStopLoss, decision_id
from services.strategies.domain import Made, State
from services.strategies.maker import Hire
from services.strategies.placing import Orders
from services.strategies.roster import Member, same_side
from services.strategies.rules import Signal
from services.strategies.stoploss import Touch
from tapewire.events import DecisionMade, PriceUpdated, Side, Undecodable, UnknownType
from tapewire.log import (
    AlreadyStored,
    Draft,
    Entities,
    EventLog,
    Known,
    LogError,
    Meta,
    Overloaded,
    Refusal,
    Subject,
)
from tapewire.log.patience import Patience

FRESH_SECONDS = 5.0
"""How long a decision is tried while the log cannot take it."""
DETAILS_LENGTH = 300

logger = structlog.get_logger("strategies.hand")


class Desk(msgspec.Struct, frozen=True):
    """What all strategies at work share."""

    log: EventLog
    entities: Entities[State, Command]
    orders: Orders
    hire: Hire
    clock: Callable[[], datetime]
    chance: random.Random
    held: Callable[[], bool] = lambda: True
    """Whether this process surely is the only one at work: one that stood still would decide on
    quotes that are over."""


class Hand:
    """Acts for `member`, the strategy as it is known; `learn` is called with what became of it."""

    def __init__(self, desk: Desk, member: Member, learn: Callable[[Member], None]) -> None:
        self.member = member
        self._desk = desk
        self._learn = learn

    async def act(self, signal: Signal, quote: PriceUpdated, orders: int) -> str | None:
        """Follow the signal, which was given knowing of `orders` orders. Why it was not done, None
        when it was."""
        command = Act(
            id=self._decision(quote),
            at=self._desk.clock(),
            user=self.member.user,
            strategy_id=self._id,
            orders=orders,
            action=signal.action,
            confidence=signal.confidence,
            reasoning=signal.reasoning,
            price=quote.price,
            decided_at=quote.timestamp,
        )
        return await self._have(command, command.id, seconds=FRESH_SECONDS)

    async def trigger(self, touch: Touch, side: Side) -> None:
        """Close what is held by an order of `side`, for a stop-loss that was touched."""
        command = TriggerStopLoss(
            id=f"{self._id}.stop-loss.{self.member.strategy.orders + 1}",
            at=self._desk.clock(),
            user=self.member.user,
            strategy_id=self._id,
            orders=self.member.strategy.orders,
            side=side,
            price=touch.price,
            trigger_price=touch.trigger_price,
        )
        await self._have(command, command.id)

    async def give_up(self, order_id: str, why: str) -> None:
        """The order under way was refused."""
        command = EndOrder(
            id=f"{order_id}.refused",
            at=self._desk.clock(),
            user=self.member.user,
            strategy_id=self._id,
            order_id=order_id,
            status=None,
            reason=why,
        )
        await self._have(command, self.member.correlation)

    async def fail(self, error_code: str, details: str) -> None:
        """The strategy cannot go on."""
        logger.warning("a strategy fails", subject=str(self.member.subject), details=details)
        command = Fail(
            id=f"{self._id}.fail.{self.member.sequence}",
            at=self._desk.clock(),
            user=self.member.user,
            strategy_id=self._id,
            error_code=error_code,
            details=details[:DETAILS_LENGTH],
        )
        await self._have(command, command.id)

    async def tell(self, signal: Signal, quote: PriceUpdated, why: str | None) -> bool:
        """Say that a decision was declined; whether that could be stored in `FRESH_SECONDS`."""
        id_ = self._decision(quote)
        decision = DecisionMade(
            decision_id=id_,
            strategy_id=self._id,
            symbol=self.member.strategy.symbol,
            action=signal.action,
            confidence=signal.confidence,
            reasoning=signal.reasoning if why is None else f"{signal.reasoning}; declined: {why}",
            taken=False,
            timestamp=quote.timestamp,
        )
        subject = Subject(self.member.user, "decisions", self._id)
        meta = Meta(id=f"{id_}.declined", correlation=id_)
        clock, patience = asyncio.get_running_loop().time, Patience(self._desk.chance)
        deadline = clock() + FRESH_SECONDS
        while True:
            while not self._desk.held():
                await patience.wait()
            try:
                await self._desk.log.append([Draft(subject=subject, event=decision, meta=meta)])
            except AlreadyStored:
                return True
            except LogError as error:
                if clock() >= deadline:
                    logger.warning("a decision is not told", decision=id_, error=str(error))
                    return False
                await patience.wait()
            else:
                return True

    @property
    def _id(self) -> str:
        return self.member.strategy.strategy_id

    def _decision(self, quote: PriceUpdated) -> str:
        return decision_id(self._id, quote.timestamp)

    async def _have(
        self, command: Command, correlation: str, *, seconds: float | None = None
    ) -> str | None:
        """Have `command` decided, trying for `seconds` while the log cannot, and learn what the
        strategy is then. Why it was refused, or came too late; None when it is done."""
        clock, patience = asyncio.get_running_loop().time, Patience(self._desk.chance)
        deadline = None if seconds is None else clock() + seconds
        while True:
            while not self._desk.held():
                await patience.wait()
            try:
                known = await self._desk.entities.handle(
                    self.member.subject, command, correlation=correlation
                )
            except Refusal as refusal:
                logger.info("the strategy went another way", id=command.id, why=refusal.message)
                await self._look()
                return refusal.message
            except (LogError, Overloaded, UnknownType, Undecodable) as error:
                logger.warning("cannot decide now", id=command.id, error=str(error))
                if deadline is not None and clock() >= deadline:
                    return f"it could not be stored: {error}"
                await patience.wait()
            else:
                self._know(known, correlation)
                return None

    async def _look(self) -> None:
        """Know the strategy as it is now, if that can be read."""
        try:
            known = await self._desk.entities.fresh(self.member.subject)
        except (LogError, UnknownType, Undecodable):
            return  # the runner's follower brings it
        self._know(known, self.member.correlation)

    def _know(self, known: Known[State], correlation: str) -> None:
        """What the follower will say too, only sooner. It knows better since when something is
        held; until then another side is another holding."""
        before = self.member
        if not isinstance(known.state, Made) or known.sequence <= before.sequence:
            return
        strategy = known.state.strategy
        held = same_side(before.strategy, strategy)
        self._learn(
            msgspec.structs.replace(
                before,
                strategy=strategy,
                sequence=known.sequence,
                since=before.since if held else known.sequence,
                correlation=correlation,
            )
        )
