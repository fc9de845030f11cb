"""The OpenAPI document of the edge, and the events of its topics, without a running edge.

`document_config` is what the served document is made with. Generators of clients read
`build_api_document` and `describe_topics`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import Litestar
from litestar.di import Provide

from tapewire_services.edge.delivery.stream_routes import STREAM_ROUTES, RouteParameter, StreamRoute
from tapewire_services.edge.delivery.topics import PUBLIC_VARIANTS, SELECTABLE_TOPICS, Access
from tapewire_services.edge.http.api_docs import HtmlRenderPlugin
from tapewire_services.edge.http.controllers import CONTROLLERS
from tapewire_services.edge.http.schema import DecimalSchemaPlugin, SharedComponents
from tapewire_services.edge.http.stream_docs import ConfigWithStreams, merge_message_types

API_DESCRIPTION = (
    "Every call takes an `X-Correlation-ID` or makes one, and answers with it. "
    "Errors have one shape, `Problem`."
)


def document_config(stream_routes: Sequence[StreamRoute]) -> ConfigWithStreams:
    """How Litestar describes the calls and `stream_routes`."""
    config = ConfigWithStreams(
        title="Tapewire",
        version="0.1.0",
        path="/docs",
        description=API_DESCRIPTION,
        components=SharedComponents(),
        render_plugins=[HtmlRenderPlugin()],
        use_handler_docstrings=True,
    )
    config.stream_routes = stream_routes
    return config


def build_api_document() -> dict[str, Any]:
    """The OpenAPI document of all calls and streams, without types of other packages."""
    app = Litestar(
        [*CONTROLLERS],
        dependencies={
            name: Provide(lambda: None, sync_to_thread=False)
            for name in ("context", "session", "session_if_any")
        },
        plugins=[DecimalSchemaPlugin()],
        openapi_config=document_config(STREAM_ROUTES),
        logging_config=None,
    )
    document: dict[str, Any] = msgspec.to_builtins(app.openapi_schema.to_schema())
    return document


def describe_topics() -> Mapping[str, tuple[bool, Sequence[str]]]:
    """Every topic of ``/api/stream?topics=``: whether it needs a session, and its events."""
    [route] = (one for one in STREAM_ROUTES if one.parameter is RouteParameter.TOPICS)
    control = merge_message_types(msgspec.structs.replace(route, topics=(), parameter=None))
    return {
        name: (
            topic.access is Access.USER and topic not in PUBLIC_VARIANTS,
            sorted(
                merge_message_types(
                    msgspec.structs.replace(route, topics=(topic,), parameter=None)
                ).keys()
                - control.keys()
            ),
        )
        for name, topic in SELECTABLE_TOPICS.items()
    }
