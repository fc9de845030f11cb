"""A day from its opening to its end: the market moves, all settles, users do what is planned.

Start at `conduct`. Kills fall anywhere between a step's asking and the end of what users do then;
that waits until all that follows from the step is settled, so it is the same in every run.
"""

import time
from pathlib import Path

from tapewire.cli.verify import kept
from tapewire.log import Recorded, Refusal
from tapewire.log.jetstream import JetStreamLog, JetStreamValues, connect
from tapewire.runtime import Requests
from tapewire.runtime.contracts import alerts, orders, positions, prices, strategies
from tapewire.verify import Summary, verify
from tests.day.asking import Asker
from tests.day.house import House, LeaseBook
from tests.day.killer import Killer
from tests.day.market import OPENS_MS, RECORDING
from tests.day.plan import ByHand, Cell, Plan, Seat, arm
from tests.day.settling import Figures, Settling

RECONCILE_SECONDS = 100.0


class Outcome:
    """What a day left: every event, where each step ended in the log, and what it cost."""

    def __init__(self) -> None:
        self.events: list[Recorded] = []
        self.ends: list[int] = []
        self.begins = 0
        self.figures = Figures()
        self.reconciled: positions.ReconcileReply | None = None
        self.verified: Summary | None = None
        self.differing: list[str] = []
        self.errors: list[str] = []


async def conduct(plan: Plan, folder: Path, replicas: int = 1) -> Outcome:
    """The whole day."""
    async with House(folder, RECORDING, replicas).open() as house:
        wire = await connect(house.url, "conductor")
        try:
            log = JetStreamLog(wire)
            asker = Asker(Requests(wire))
            settling = Settling(log, asker)
            killer = Killer(house, LeaseBook(wire), settling)
            day = _Day(plan, asker, settling, killer)
            began = time.monotonic()
            await day.run()
            day.outcome.figures.seconds = time.monotonic() - began
            day.outcome.figures.kills = house.kills
            day.outcome.figures.takeovers = killer.takeovers
            await _read_all(log, day.outcome)
            views = JetStreamValues(wire, stream="VIEWS", prefix="view")
            day.outcome.verified = await verify(
                log, views, lambda one: day.outcome.differing.append(str(one)), kept=kept()
            )
            house.check()
            day.outcome.errors = house.errors()
        except BaseException:
            await killer.close()
            raise
        finally:
            await wire.close()
    return day.outcome


async def _read_all(log: JetStreamLog, outcome: Outcome) -> None:
    more = True
    while more:
        after = outcome.events[-1].sequence if outcome.events else 0
        page = await log.page("ev.>", after=after)
        outcome.events += page.events
        more = page.more
    outcome.figures.events = len(outcome.events)


class _Day:
    def __init__(self, plan: Plan, asker: Asker, settling: Settling, killer: Killer) -> None:
        self.outcome = Outcome()
        self._plan = plan
        self._asker = asker
        self._settling = settling
        self._killer = killer
        self._strategies: dict[str, str] = {}
        self._rules: list[tuple[str, str]] = []
        self._orders: dict[Cell, str] = {}
        self._step = 0

    async def run(self) -> None:
        for number in range(self._plan.size.steps):
            self._step = number
            killing = self._killer.during(self._plan.kills.get(number, []))
            await self._move()
            await self._settled()
            if number == 0:
                await self._begin()
            await self._act()
            await killing
            self.outcome.ends.append(await self._settled())
            self.outcome.figures.steps += 1
        reply = await self._asker.insist(
            positions.SERVICE,
            positions.RECONCILE,
            positions.Reconcile(),
            positions.ReconcileReply,
            "reconcile",
            seconds=RECONCILE_SECONDS,
        )
        self.outcome.reconciled = reply

    async def _move(self) -> prices.Stepped:
        every, number = self._plan.size.every_ms, self._step
        after = OPENS_MS + every * number if number else 0
        step = prices.Step(
            day=self._plan.day, after_ms=after, upto_ms=OPENS_MS + every * (number + 1)
        )
        told = await self._asker.insist(
            prices.SERVICE, prices.STEP, step, prices.Stepped, f"step-{number}"
        )
        quotes = self._plan.market[number]
        assert told.published == {one: quote.at(self._plan.day) for one, quote in quotes.items()}
        self._settling.quotes |= told.published
        return told

    async def _settled(self) -> int:
        return await self._settling.settled(self._move)

    async def _begin(self) -> None:
        """Strategies and rules are made."""
        for seat in self._plan.seats:
            made = await self._asker.insist(
                strategies.SERVICE,
                strategies.CREATE,
                seat.make,
                strategies.StrategyReply,
                seat.command,
            )
            self._strategies[seat.command] = made.strategy.strategy_id
        for command, rule in self._plan.rules:
            ruled = await self._asker.insist(
                alerts.SERVICE, alerts.CREATE, rule, alerts.RuleReply, command
            )
            self._rules.append((rule.user_id, ruled.rule.rule_id))

    async def _act(self) -> None:
        """What users do after this step."""
        for seat in self._plan.seats:
            if self._step in seat.stops:
                await self._stop(seat)
        for seat in self._plan.seats:
            if self._step in seat.starts:
                id_ = self._strategies[seat.command]
                start = strategies.StartStrategy(user_id=seat.make.user_id, strategy_id=id_)
                await self._tell(strategies.START, start, f"start-{seat.command}")
        for doing in self._plan.by_hand[self._step]:
            await self._by_hand(doing)
        if self._step in self._plan.arms:
            await self._settled()  # what was rejected just now triggers first, and is armed again
            for user, rule_id in self._rules:
                command = f"arm-{rule_id}-{self._step}"
                await self._asker.ask(
                    alerts.SERVICE, alerts.ARM, arm(user, rule_id), alerts.RuleReply, command
                )

    async def _stop(self, seat: Seat) -> None:
        """And cancel what it has under way."""
        id_, user = self._strategies[seat.command], seat.make.user_id
        stop = strategies.StopStrategy(user_id=user, strategy_id=id_)
        stopped = await self._tell(strategies.STOP, stop, f"stop-{seat.command}")
        if isinstance(stopped, strategies.StrategyReply) and stopped.strategy.order is not None:
            await self._cancel(user, stopped.strategy.order.order_id)

    async def _tell(
        self, verb: str, request: strategies.StartStrategy | strategies.StopStrategy, command: str
    ) -> strategies.StrategyReply | Refusal:
        return await self._asker.ask(
            strategies.SERVICE, verb, request, strategies.StrategyReply, f"{command}-{self._step}"
        )

    async def _by_hand(self, doing: ByHand) -> None:
        """One at a time, so that orders of the same instant have an order."""
        open_ = self._orders.get(doing.cell)
        if open_ is not None and await self._is_open(doing.cell.user, open_):
            if doing.cancel:
                await self._cancel(doing.cell.user, open_)
            return
        placed = await self._asker.insist(
            orders.SERVICE,
            orders.PLACE,
            doing.order,
            orders.OrderReply,
            f"place-{doing.order.client_order_id}",
        )
        self._orders[doing.cell] = placed.order.order_id
        await self._settling.broker_quiet()
        if not doing.keep:
            await self._cancel(doing.cell.user, placed.order.order_id)

    async def _is_open(self, user: str, order_id: str) -> bool:
        found = await self._asker.insist(
            orders.SERVICE,
            orders.GET,
            orders.GetOrder(user_id=user, order_id=order_id),
            orders.OrderReply,
            "get",
        )
        return found.order.status.open

    async def _cancel(self, user: str, order_id: str) -> None:
        """Refused when it is closed already."""
        await self._asker.ask(
            orders.SERVICE,
            orders.CANCEL,
            orders.CancelOrder(user_id=user, order_id=order_id),
            orders.OrderReply,
            f"cancel-{order_id}-{self._step}",
        )
        await self._settling.broker_quiet()
