"""Health of the process for probes and operators: `/health`."""

import msgspec
from litestar import Controller, Response, get
from litestar.openapi.datastructures import ResponseSpec

from tapewire_services.edge.http.controllers.context import ControllerContext, HttpRequest
from tapewire_services.edge.http.health import Health, SseHealth
from tapewire_services.edge.http.schema import operation

NOT_READY_RESPONSE = ResponseSpec(
    Health, generate_examples=False, description="No stream can be opened."
)


class HealthController(Controller):
    path = "/health"
    tags = ["health"]  # noqa: RUF012 - Litestar's attribute

    @get(sync_to_thread=False)
    def state(self, context: ControllerContext) -> Health:
        """The health of this process."""
        return context.get_health()

    @get("/live", sync_to_thread=False)
    def live(self, context: ControllerContext) -> Health:
        """Answers 200 as long as the process runs."""
        return context.get_health()

    @get("/ready", sync_to_thread=False, responses={503: NOT_READY_RESPONSE})
    def ready(self, context: ControllerContext) -> Response[Health]:
        """200 when streams can be opened here, 503 otherwise."""
        health = context.get_health()
        return Response(health, status_code=200 if health.ready else 503)

    @get("/sse", operation_class=operation(is_public=True))
    async def health(self, request: HttpRequest, context: ControllerContext) -> SseHealth:
        """The health of streaming; for admins with the connections of each user."""
        health = context.get_health().sse
        session = await context.find_session_if_known(request)
        if session is None or not session.is_admin:
            return health
        per_user = dict(context.engine.totals().connections_per_user)
        return msgspec.structs.replace(health, connections_per_user=per_user)
