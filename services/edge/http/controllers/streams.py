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
from tapewire_services.edge.http.stream_changes import split_anonymous_id


class StreamController(Controller):
    path = "/api/stream"
    tags = ["streams"]  # noqa: RUF012 - Litestar's attribute

    @patch(
        "/{client_id:path}",
        operation_class=operation(StreamChange, is_public=True, error_statuses=(401, 404, 429)),
    )
    async def change(
        self,
        client_id: str,
        request: HttpRequest,
        context: ControllerContext,
        session_if_any: Session | None,
    ) -> ShownContent:
        """Change the topics, symbols or rate of an open stream of the user, on any process, without
        reconnecting. `client_id` is that of the stream's first event. Without a session, a stream
        that was opened without one can be changed by it. By the time of the answer the
        stream was sent the snapshots of added topics, and then `stream:updated`; after that it has
        nothing more of what was removed, and every event of what is shown."""
        # The type `path` also has the user ids that contain a slash, and begins with one.
        client_id = client_id.removeprefix("/")
        if session_if_any is None:
            split_anonymous_id(client_id)
        change = await read_body(request, StreamChange)
        return await context.streams.change(client_id, session_if_any, change)

    @route(
        "/{client_id:path}",
        http_method=[HttpMethod.GET, HttpMethod.HEAD],
        include_in_schema=False,
    )
    async def reject_unknown_stream(self, client_id: str) -> None:
        """A path below this one at which there is no stream. Without this handler, the answer
        would be that it can be changed but not read."""
        raise NotFoundException(f"There is no stream {client_id.removeprefix('/')}")
