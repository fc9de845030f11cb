"""Changes of open streams: `PATCH /api/stream/{clientId}`."""

from litestar import Controller, HttpMethod, patch, route
from litestar.exceptions import NotFoundException

from tapewire_services.edge.auth import Session
from tapewire_services.edge.cluster.stream_changes import ShownContent, StreamChange
from tapewire_services.edge.http.controllers.context import (
    ControllerContext,
    HttpRequest,
    read_body,
)
from tapewire_services.edge.http.schema import operation


class StreamController(Controller):
    path = "/api/stream"
    tags = ["streams"]  # noqa: RUF012 - Litestar's attribute

    @patch("/{client_id:path}", operation_class=operation(StreamChange, error_statuses=(404,)))
    async def change(
        self, client_id: str, request: HttpRequest, context: ControllerContext, session: Session
    ) -> ShownContent:
        """Change the topics, symbols or rate of an open stream of the user, on any process, without
        reconnecting. `client_id` is that of the stream's first event. By the time of the answer the
        stream was sent the snapshots of added topics, and then `stream:updated`; after that it has
        nothing more of what was removed, and every event of what is shown."""
        change = await read_body(request, StreamChange)
        # The type `path` also has the user ids that contain a slash, and begins with one.
        return await context.streams.change(client_id.removeprefix("/"), session, change)

    @route(
        "/{client_id:path}",
        http_method=[HttpMethod.GET, HttpMethod.HEAD],
        include_in_schema=False,
    )
    async def reject_unknown_stream(self, client_id: str) -> None:
        """A path below this one at which there is no stream. Without this handler, the answer
        would be that it can be changed but not read."""
        raise NotFoundException(f"There is no stream {client_id.removeprefix('/')}")
