"""The strategies service: `python -m tapewire_services.strategies`."""

import asyncio
from datetime import UTC, datetime

from tapewire.log import CommandHandler
from tapewire.log.arrival_time import ArrivalTime, steady_time
from tapewire.log.backoff import new_rng
from tapewire.log.group_commit import GroupCommitLog
from tapewire.runtime import App, Endpoint, run
from tapewire.runtime.contracts import strategies as contract
from tapewire.views import StrategiesView, StrategyHistory
from tapewire_services.strategies.command_execution import WorkerDependencies
from tapewire_services.strategies.decision_maker import RuleDecisionMaker
from tapewire_services.strategies.domain.commands import Command
from tapewire_services.strategies.domain.strategy import STRATEGY_DECIDER, State
from tapewire_services.strategies.market_sight import MarketSightMonitor
from tapewire_services.strategies.order_placement import NatsOrderClient
from tapewire_services.strategies.runner import LEASE_NAME, StrategiesRunner
from tapewire_services.strategies.service import StrategiesService


async def wiring(app: App, arrival_time: ArrivalTime | None = None) -> None:
    """Wire the service. `arrival_time` says when a quote counts: by default when it arrives."""
    # 1. The quotes: which symbols exist, and the prices that rules follow.
    quote_cache = await app.follow_quotes()

    # 2. Strategies and their decider.
    log = GroupCommitLog(app.log)
    command_handler: CommandHandler[State, Command] = CommandHandler(log, STRATEGY_DECIDER)

    # 3. The runner, in one process only. Other decision-makers are plugged in here.
    dependencies = WorkerDependencies(
        log=log,
        command_handler=command_handler,
        order_client=NatsOrderClient(app.requests),
        make_decision_maker=RuleDecisionMaker,
        clock=lambda: datetime.now(UTC),
        rng=new_rng(),
        arrival_time=arrival_time or steady_time(),
        holds_lease=lambda: app.leases.is_held(LEASE_NAME),
        is_journal_nearly_full=app.is_journal_nearly_full,
    )
    runner = StrategiesRunner(dependencies, app.views, quote_cache)
    sight = MarketSightMonitor(
        log, quote_cache, runner.active_strategies, dependencies.clock, app.settings.stale_seconds
    )

    async def run_and_watch() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(runner.run())
            group.create_task(sight.run())

    app.run_leased(LEASE_NAME, run_and_watch, runner.progress.endpoints())

    # 4. The users' views and histories.
    await app.checkpoint_views(StrategiesView, StrategyHistory)

    # 5. Requests, last: from here on the service answers.
    service = StrategiesService(
        app.log,
        app.views,
        command_handler,
        quote_cache,
        is_journal_nearly_full=app.is_journal_nearly_full,
    )
    await app.serve_requests(
        {
            contract.CREATE: Endpoint(contract.CreateStrategy, service.create),
            contract.UPDATE: Endpoint(contract.UpdateStrategy, service.update),
            contract.START: Endpoint(contract.StartStrategy, service.start),
            contract.STOP: Endpoint(contract.StopStrategy, service.stop),
            contract.DELETE: Endpoint(contract.DeleteStrategy, service.delete),
            contract.GET: Endpoint(contract.GetStrategy, service.get),
            contract.LIST: Endpoint(contract.ListStrategies, service.list),
        }
    )


if __name__ == "__main__":
    run(contract.SERVICE, wiring)
