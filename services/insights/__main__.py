"""The insights service: `python -m tapewire_services.insights`."""

from tapewire.log import CommandHandler
from tapewire.runtime import App, Endpoint, run
from tapewire.runtime.contracts import configurations as shown
from tapewire.runtime.contracts import insights as asked
from tapewire.views import ConfigurationsView, ItemsView, MetricsView
from tapewire_services.insights.configurations_service import ConfigurationsService
from tapewire_services.insights.domain.configurations import CONFIGURATION_DECIDER
from tapewire_services.insights.item_queries import ItemQueries
from tapewire_services.insights.scoring import VaderScorer
from tapewire_services.insights.service import InsightsService


async def wiring(app: App) -> None:
    # 1. Checkpoints of the views: items and their counts, which are everybody's, and each user's
    #    configurations.
    for kind in (ItemsView, MetricsView, ConfigurationsView):
        await app.checkpoint_views(kind)

    # 2. Answers, last: from here on the service is asked. Nothing here must run once, so there is
    #    no lease, and every process answers.
    service = InsightsService(app.log, app.views, VaderScorer())
    listing = ItemQueries(app.log, app.views)
    dashboards = ConfigurationsService(
        app.log, app.views, CommandHandler(app.log, CONFIGURATION_DECIDER)
    )
    await app.serve_requests(
        {
            asked.ADD: Endpoint(asked.NewItem, service.add),
            asked.LOAD: Endpoint(asked.LoadItems, service.load),
            asked.ITEMS: Endpoint(asked.ListItems, listing.items),
            asked.METRICS: Endpoint(asked.GetMetrics, service.metrics),
            shown.CREATE: Endpoint(shown.CreateConfiguration, dashboards.create),
            shown.CHANGE: Endpoint(shown.ChangeConfiguration, dashboards.change),
            shown.DELETE: Endpoint(shown.DeleteConfiguration, dashboards.delete),
            shown.GET: Endpoint(shown.GetConfiguration, dashboards.get),
            shown.LIST: Endpoint(shown.ListConfigurations, dashboards.list),
        }
    )


if __name__ == "__main__":
    run(asked.SERVICE, wiring)
