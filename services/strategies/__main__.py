"""The strategies service: `python -m tapewire_services.strategies`."""

from datetime import UTC, datetime

from tapewire.log import CommandHandler
from tapewire.log.backoff import new_rng
from tapewire.log.group_commit import GroupCommitLog
from tapewire.log.quote_cache import QuoteCache
from tapewire.runtime import App, Endpoint, run
from tapewire.runtime.contracts import strategies as asked
from tapewire.runtime.contracts.progress import PROGRESS, GetProgress
from tapewire.views import StrategiesView
from tapewire_services.strategies.command_executor import WorkerDependencies
from tapewire_services.strategies.decision_maker import RuleDecisionMaker
from tapewire_services.strategies.domain.commands import Command
from tapewire_services.strategies.domain.strategy import STRATEGY_DECIDER, State
from tapewire_services.strategies.order_placement import NatsOrderClient
from tapewire_services.strategies.progress import RunnerProgress
from tapewire_services.strategies.runner import LEASE_NAME, run_strategies
from tapewire_services.strategies.service import StrategiesService


async def wire(app: App) -> None:
    # 1. The market: which symbols there are, and the prices that rules follow.
    market = QuoteCache(app.quotes)
    await market.start()
    app.on_stop(market.close)
    app.spawn(market.repair_gaps(), name="market")

    # 2. Strategies, behind their decider.
    log = GroupCommitLog(app.log)
    entities: CommandHandler[State, Command] = CommandHandler(log, STRATEGY_DECIDER)

    # 3. The runner, in one process of all. Decision-makers of another kind are hired here.
    desk = WorkerDependencies(
        log=log,
        command_handler=entities,
        order_client=NatsOrderClient(app.requests),
        make_decision_maker=RuleDecisionMaker,
        clock=lambda: datetime.now(UTC),
        rng=new_rng(),
        holds_lease=lambda: app.leases.is_held(LEASE_NAME),
    )
    progress = RunnerProgress()
    app.run_leased(
        LEASE_NAME,
        lambda: run_strategies(desk, app.views, market, progress.on_runner_started),
        {PROGRESS: Endpoint(GetProgress, progress.get_progress)},
    )

    # 4. Checkpoints of the users' views.
    await app.checkpoint_views(StrategiesView)

    # 5. Answers, last: from here on the service is asked.
    service = StrategiesService(app.log, app.views, entities, market)
    await app.serve_requests(
        {
            asked.CREATE: Endpoint(asked.CreateStrategy, service.create),
            asked.UPDATE: Endpoint(asked.UpdateStrategy, service.update),
            asked.START: Endpoint(asked.StartStrategy, service.start),
            asked.STOP: Endpoint(asked.StopStrategy, service.stop),
            asked.GET: Endpoint(asked.GetStrategy, service.get),
            asked.LIST: Endpoint(asked.ListStrategies, service.list),
        }
    )


if __name__ == "__main__":
    run(asked.SERVICE, wire)
