"""The insights service: `python -m services.insights`."""

from services.insights.dashboards import Dashboards
from services.insights.domain.configurations import CONFIGURATIONS
from services.insights.listing import Listing
from services.insights.scoring import Vader
from services.insights.service import InsightsService
from tapewire.log import Entities
from tapewire.runtime import App, Endpoint, run
from tapewire.runtime.contracts import configurations as shown
from tapewire.runtime.contracts import insights as asked
from tapewire.views import ConfigurationsView, ItemsView, MetricsView


async def wiring(app: App) -> None:
    # 1. Checkpoints of the views: items and their counts, which are everybody's, and each user's
    #    configurations.
    for kind in (ItemsView, MetricsView, ConfigurationsView):
        await app.project(kind)

    # 2. Answers, last: from here on the service is asked. Nothing here must run once, so there is
    #    no lease, and every process answers.
    service = InsightsService(app.log, app.views, Vader())
    listing = Listing(app.log, app.views)
    dashboards = Dashboards(app.log, app.views, Entities(app.log, CONFIGURATIONS))
    await app.answer(
        {
            asked.ADD: Endpoint(asked.NewItem, service.add),
            asked.LOAD: Endpoint(asked.LoadItems, service.load),
            asked.ITEMS: Endpoint(asked.ListItems, listing.items),
            asked.METRICS: Endpoint(asked.AskMetrics, service.metrics),
            shown.CREATE: Endpoint(shown.CreateConfiguration, dashboards.create),
            shown.CHANGE: Endpoint(shown.ChangeConfiguration, dashboards.change),
            shown.DELETE: Endpoint(shown.DeleteConfiguration, dashboards.delete),
            shown.GET: Endpoint(shown.GetConfiguration, dashboards.get),
            shown.LIST: Endpoint(shown.ListConfigurations, dashboards.list),
        }
    )


if __name__ == "__main__":
    run(asked.SERVICE, wiring)
