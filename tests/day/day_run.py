"""Runs a day from its opening to its end.

In each step the market moves, the consequences settle, and the users act as planned. Kills happen
at any time from the request of a step to the end of the users' actions; orders that never rest are
placed after that. Users act only when all consequences of the step have settled, so they act the
same in every run. Start at `run_day`.
"""

import time
from pathlib import Path

from tapewire.cli.verify import load_checkpoint_checks
from tapewire.log import (
    EVERYBODY,
    CommandRejected,
    EventLog,
    LatestValueStore,
    RecordedEvent,
    Unavailable,
)
from tapewire.log.jetstream import JetStreamEventLog, JetStreamLatestValueStore, connect
from tapewire.runtime import RequestClient
from tapewire.runtime.contracts import alerts, positions, strategies
from tapewire.verify import VerificationSummary, verify
from tapewire_services.prices.service import SERVICE as PRICES
from tests.day.manual_trading import ManualTrading
from tests.day.plan import DayPlan, PlannedStrategy, arm_rule_command
from tests.day.process_killer import ProcessKiller
from tests.day.quiescence import DayFigures, QuiescenceDetector
from tests.day.recorded_quotes import MARKET_OPEN_MS, RECORDING_PATH
from tests.day.retrying_requester import RetryingRequester
from tests.day.service_processes import LeaseReader, ServiceProcesses
from tests.day.stepped_prices import STEP, StepRecording, StepReply
from tests.harness.recorded_log import read_new_events

MAX_VERIFY_ATTEMPTS = 10


class DayResult:
    """The result of a day: every event, the sequence at which each step ended, and its figures."""

    def __init__(self) -> None:
        self.events: list[RecordedEvent] = []
        self.step_end_sequences: list[int] = []
        self.begins = 0
        self.figures = DayFigures()
        self.verified: VerificationSummary | None = None
        self.verification_differences: list[str] = []
        self.errors: list[str] = []
        self.accounts: dict[str, positions.AccountReply] = {}
        """By user, at the end of the day."""


async def run_day(plan: DayPlan, folder: Path, replicas: int = 1) -> DayResult:
    """Run the whole day in processes of its own."""
    async with ServiceProcesses(folder, RECORDING_PATH, replicas).run_all() as processes:
        connection = await connect(processes.url, "conductor")
        try:
            log = JetStreamEventLog(connection)
            requester = RetryingRequester(RequestClient(connection))
            quiescence = QuiescenceDetector(log, requester)
            killer = ProcessKiller(processes, LeaseReader(connection), quiescence)
            day = _DayRun(plan, processes, requester, quiescence, killer)
            began = time.monotonic()
            await day.run()
            day.result.figures.duration_seconds = time.monotonic() - began
            day.result.figures.kills = processes.kill_count
            day.result.figures.takeover_seconds = killer.takeover_seconds
            await read_new_events(log, day.result.events)
            await day.read_accounts()
            day.result.figures.event_count = len(day.result.events)
            views = JetStreamLatestValueStore(connection, stream="VIEWS", prefix="view")
            await _verify(log, views, day.result)
            processes.raise_if_exited()
            day.result.errors = processes.error_lines()
        except BaseException:
            await killer.close()
            raise
        finally:
            await connection.close()
    return day.result


async def _verify(log: EventLog, views: LatestValueStore, result: DayResult) -> None:
    """Verify the log of the day. On a busy machine a read may stay unanswered: then repeat."""
    for attempt in reversed(range(MAX_VERIFY_ATTEMPTS)):
        result.verification_differences.clear()
        try:
            result.verified = await verify(
                log,
                views,
                lambda one: result.verification_differences.append(str(one)),
                checkpoint_checks=load_checkpoint_checks(),
            )
        except Unavailable:
            if not attempt:
                raise
        else:
            return


class _DayRun:
    def __init__(
        self,
        plan: DayPlan,
        processes: ServiceProcesses,
        requester: RetryingRequester,
        quiescence: QuiescenceDetector,
        killer: ProcessKiller,
    ) -> None:
        self.result = DayResult()
        self._plan = plan
        self._processes = processes
        self._requester = requester
        self._quiescence = quiescence
        self._killer = killer
        self._strategies: dict[str, str] = {}
        self._rules: list[tuple[str, str]] = []
        self._manual_trading = ManualTrading(plan, requester, quiescence, self._advance_market)
        self._step = 0

    async def run(self) -> None:
        for number in range(self._plan.size.step_count):
            self._step = number
            killing = self._killer.start_kills(self._plan.kills.get(number, []))
            await self._advance_market()
            await self._wait_until_quiescent()
            if number == 0:
                await self._create_strategies_and_rules()
            await self._run_user_actions()
            await killing
            end_sequence = await self._wait_until_quiescent()
            if self._manual_trading.has_immediate_orders(number):
                await self._manual_trading.run_orders(number, immediate=True)
                end_sequence = await self._wait_until_quiescent()
            self.result.step_end_sequences.append(end_sequence)
            self.result.figures.step_count += 1
        if self._plan.size.expires_day_orders:
            await self._processes.end_trading_day()
            await self._manual_trading.wait_until_day_orders_expired()
            self.result.step_end_sequences[-1] = await self._wait_until_quiescent()

    async def read_accounts(self) -> None:
        """Read the accounts of all users who traded."""
        for user in {recorded.event_subject.owner for recorded in self.result.events}:
            if user != EVERYBODY:
                self.result.accounts[user] = await self._requester.request_until_answered(
                    positions.SERVICE,
                    positions.ACCOUNT,
                    positions.GetAccount(user_id=user),
                    positions.AccountReply,
                    f"account-{user}",
                )

    async def _advance_market(self) -> StepReply:
        every, number = self._plan.size.step_ms, self._step
        after = MARKET_OPEN_MS + every * number if number else 0
        step = StepRecording(
            day=self._plan.day, after_ms=after, upto_ms=MARKET_OPEN_MS + every * (number + 1)
        )
        reply = await self._requester.request_until_answered(
            PRICES, STEP, step, StepReply, f"step-{number}"
        )
        quotes = self._plan.quotes_by_step[number]
        assert reply.published == {
            one: quote.timestamp_on(self._plan.day) for one, quote in quotes.items()
        }
        self._quiescence.newest_quotes |= reply.published
        return reply

    async def _wait_until_quiescent(self) -> int:
        return await self._quiescence.wait_until_quiescent(self._advance_market)

    async def _create_strategies_and_rules(self) -> None:
        for planned in self._plan.strategies:
            made = await self._requester.request_until_answered(
                strategies.SERVICE,
                strategies.CREATE,
                planned.create,
                strategies.StrategyReply,
                planned.command_name,
            )
            self._strategies[planned.command_name] = made.strategy.strategy_id
        for command, rule in self._plan.alert_rules:
            ruled = await self._requester.request_until_answered(
                alerts.SERVICE, alerts.CREATE, rule, alerts.RuleReply, command
            )
            self._rules.append((rule.user_id, ruled.rule.rule_id))

    async def _run_user_actions(self) -> None:
        """Perform the users' actions after this step."""
        for planned in self._plan.strategies:
            if self._step in planned.stop_steps:
                await self._stop_strategy(planned)
        for planned in self._plan.strategies:
            if self._step in planned.start_steps:
                id_ = self._strategies[planned.command_name]
                start = strategies.StartStrategy(user_id=planned.create.user_id, strategy_id=id_)
                await self._send_strategy_command(
                    strategies.START, start, f"start-{planned.command_name}"
                )
        await self._manual_trading.run_orders(self._step, immediate=False)
        if self._step in self._plan.rearm_steps:
            # A rule that was just triggered by a rejection is armed again too.
            await self._wait_until_quiescent()
            for user, rule_id in self._rules:
                command = f"arm-{rule_id}-{self._step}"
                await self._requester.request_or_rejection(
                    alerts.SERVICE,
                    alerts.ARM,
                    arm_rule_command(user, rule_id),
                    alerts.RuleReply,
                    command,
                )

    async def _stop_strategy(self, planned: PlannedStrategy) -> None:
        """Stop the strategy and cancel its open order, unless that closes its position."""
        id_, user = self._strategies[planned.command_name], planned.create.user_id
        stop = strategies.StopStrategy(
            user_id=user, strategy_id=id_, position=planned.stop_position
        )
        stopped = await self._send_strategy_command(
            strategies.STOP, stop, f"stop-{planned.command_name}"
        )
        if planned.stop_position is strategies.StopPosition.CLOSE:
            await self._wait_until_quiescent()
        elif isinstance(stopped, strategies.StrategyReply) and stopped.strategy.order is not None:
            order_id = stopped.strategy.order.order_id
            await self._manual_trading.cancel(user, order_id, self._step)

    async def _send_strategy_command(
        self,
        verb: str,
        request: strategies.StartStrategy | strategies.StopStrategy,
        command_name: str,
    ) -> strategies.StrategyReply | CommandRejected:
        return await self._requester.request_or_rejection(
            strategies.SERVICE,
            verb,
            request,
            strategies.StrategyReply,
            f"{command_name}-{self._step}",
        )
