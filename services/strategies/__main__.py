"""The strategies service: `python -m services.strategies`."""

from datetime import UTC, datetime

from services.strategies.commands import Command
from services.strategies.domain import STRATEGIES, State
from services.strategies.hand import Desk
from services.strategies.maker import RuleMaker
from services.strategies.placing import AskedOrders
from services.strategies.progress import RunnersProgress
from services.strategies.runner import LEASE, run_strategies
from services.strategies.service import StrategiesService
from tapewire.log import Entities
from tapewire.log.grouping import GroupedLog
from tapewire.log.market import Market
from tapewire.log.patience import fresh_chance
from tapewire.runtime import App, Endpoint, run
from tapewire.runtime.contracts import strategies as asked
from tapewire.runtime.contracts.progress import PROGRESS, AskProgress
from tapewire.views import StrategiesView


async def wiring(app: App) -> None:
    # 1. The market: which symbols there are, and the prices that rules follow.
    market = Market(app.market)
    await market.start()
    app.on_stop(market.close)
    app.spawn(market.follow(), name="market")

    # 2. Strategies, behind their decider.
    log = GroupedLog(app.log)
    entities: Entities[State, Command] = Entities(log, STRATEGIES)

    # 3. The runner, in one process of all. Decision-makers of another kind are hired here.
    desk = Desk(
        log=log,
        entities=entities,
        orders=AskedOrders(app.requests),
        hire=RuleMaker,
        clock=lambda: datetime.now(UTC),
        chance=fresh_chance(),
        held=lambda: app.leases.held(LEASE),
    )
    progress = RunnersProgress()
    app.leased(
        LEASE,
        lambda: run_strategies(desk, app.views, market, progress.begins),
        {PROGRESS: Endpoint(AskProgress, progress.progress)},
    )

    # 4. Checkpoints of the users' views.
    await app.project(StrategiesView)

    # 5. Answers, last: from here on the service is asked.
    service = StrategiesService(app.log, app.views, entities, market)
    await app.answer(
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
    run(asked.SERVICE, wiring)
