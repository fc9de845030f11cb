"""The wiring of the insights service: `python -m tapewire_services.insights`."""

from tapewire.log import CommandHandler
from tapewire.runtime import App, Endpoint, run
from tapewire.runtime.contracts import configurations, insights
from tapewire.views import ConfigurationsView, ItemHistory, MetricsView
from tapewire_services.insights.configurations_service import ConfigurationsService
from tapewire_services.insights.domain.configurations import CONFIGURATION_DECIDER
from tapewire_services.insights.item_changer import ItemChanger
from tapewire_services.insights.item_queries import ItemQueries
from tapewire_services.insights.item_writer import ItemWriter
from tapewire_services.insights.scoring import MarketScorer
from tapewire_services.insights.service import InsightsService


async def wiring(app: App) -> None:
    # 1. Checkpoints of the views: items and their counts, shared by all users, and each user's
    #    configurations.
    for view_type in (MetricsView, ConfigurationsView):
        await app.checkpoint_views(view_type)
    await app.checkpoint_views(None, ItemHistory)

    # 2. The requests. They come last, because the service answers from here on.
    items = InsightsService(
        app.log, app.views, ItemWriter(app.log), ItemChanger(app.log, app.views), MarketScorer()
    )
    queries = ItemQueries(app.log, app.views)
    handler = CommandHandler(app.log, CONFIGURATION_DECIDER)
    user_configurations = ConfigurationsService(app.log, app.views, handler)
    await app.serve_requests(
        {
            insights.ADD: Endpoint(insights.NewItem, items.add),
            insights.PUT: Endpoint(insights.PutItem, items.put),
            insights.RETRACT: Endpoint(insights.RetractItem, items.retract),
            insights.LOAD: Endpoint(insights.LoadItems, items.load),
            insights.ITEMS: Endpoint(insights.ListItems, queries.items),
            insights.METRICS: Endpoint(insights.GetMetrics, items.metrics),
            configurations.CREATE: Endpoint(
                configurations.CreateConfiguration, user_configurations.create
            ),
            configurations.CHANGE: Endpoint(
                configurations.ChangeConfiguration, user_configurations.change
            ),
            configurations.DELETE: Endpoint(
                configurations.DeleteConfiguration, user_configurations.delete
            ),
            configurations.GET: Endpoint(configurations.GetConfiguration, user_configurations.get),
            configurations.LIST: Endpoint(
                configurations.ListConfigurations, user_configurations.list
            ),
        }
    )


if __name__ == "__main__":
    run(insights.SERVICE, wiring)
