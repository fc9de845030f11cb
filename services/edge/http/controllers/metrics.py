"""Metrics of the analysed items: `/api/v2/metrics`."""

from litestar import Controller, get

from tapewire.payloads.items import MetricsPayload
from tapewire.runtime.contracts import insights as contract
from tapewire_services.edge.delivery.serializers.dashboard import metrics_view
from tapewire_services.edge.http.controllers.context import ControllerContext, HttpRequest
from tapewire_services.edge.http.schema import operation


class MetricsController(Controller):
    path = "/api/v2/metrics"
    tags = ["insights"]  # noqa: RUF012 - Litestar's attribute

    @get(operation_class=operation(is_public=True, error_statuses=(503,)))
    async def metrics(self, request: HttpRequest, context: ControllerContext) -> MetricsPayload:
        """The counts of all items, the same as in the `metrics` events of the dashboard stream."""
        reply = await context.call_service(
            contract.SERVICE,
            contract.METRICS,
            contract.GetMetrics(),
            contract.MetricsReply,
            request,
        )
        return metrics_view(reply.metrics)
