"""Dashboard configurations: `/api/v2/configurations`."""

import msgspec
from litestar import Controller, delete, get, patch, post

from tapewire.events import Configuration
from tapewire.runtime.contracts import configurations as contract
from tapewire.runtime.contracts.insights import SERVICE
from tapewire_services.edge.auth import Session
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.http.controllers.context import (
    ControllerContext,
    HttpRequest,
    page_query,
    read_body,
)
from tapewire_services.edge.http.responses import JsonResponse
from tapewire_services.edge.http.schema import operation, page_parameters

DEFAULT_LIMIT = 1000
"""Configurations that are listed without a `limit`."""


class ConfigurationBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The items that a dashboard shows: those of any of `tickers`, with any of `tags` if there are
    some."""

    name: str
    tickers: tuple[str, ...]
    tags: tuple[str, ...] = ()


class ConfigurationChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields to change."""

    name: str | None = None
    tickers: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None


class ConfigurationList(msgspec.Struct, frozen=True, kw_only=True):
    """The oldest first. `next` is the `cursor` of the page that follows, absent after the last."""

    configurations: list[Configuration]
    as_of: str
    next: str | msgspec.UnsetType = msgspec.UNSET


class ConfigurationController(Controller):
    path = "/api/v2/configurations"
    tags = ["insights"]  # noqa: RUF012 - Litestar's attribute

    @post(operation_class=operation(ConfigurationBody, is_command=True))
    async def create(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> JsonResponse[Configuration]:
        """Create a configuration."""
        body = await read_body(request, ConfigurationBody)
        payload = contract.CreateConfiguration(
            user_id=session.user_id, **msgspec.structs.asdict(body)
        )
        configuration = await _call(context, contract.CREATE, payload, request)
        return JsonResponse(configuration, status_code=201)

    @get(operation_class=operation(query_parameters=page_parameters(DEFAULT_LIMIT)))
    async def list_configurations(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> ConfigurationList:
        """The user's configurations."""
        limit, cursor = page_query(request, DEFAULT_LIMIT)
        payload = contract.ListConfigurations(user_id=session.user_id, limit=limit, cursor=cursor)
        reply = await context.call_service(
            SERVICE, contract.LIST, payload, contract.ConfigurationsReply, request
        )
        as_of = str(Cursor(reply.epoch, reply.as_of))
        return ConfigurationList(
            configurations=reply.configurations, as_of=as_of, next=reply.next or msgspec.UNSET
        )

    @get("/{configuration_id:str}", operation_class=operation(error_statuses=(404,)))
    async def read(
        self,
        request: HttpRequest,
        context: ControllerContext,
        session: Session,
        configuration_id: str,
    ) -> Configuration:
        """One configuration."""
        payload = contract.GetConfiguration(
            user_id=session.user_id, configuration_id=configuration_id
        )
        return await _call(context, contract.GET, payload, request)

    @patch(
        "/{configuration_id:str}",
        operation_class=operation(ConfigurationChange, is_command=True, error_statuses=(404,)),
    )
    async def change(
        self,
        request: HttpRequest,
        context: ControllerContext,
        session: Session,
        configuration_id: str,
    ) -> Configuration:
        """Change the given fields; open streams of the configuration follow the change."""
        body = await read_body(request, ConfigurationChange)
        payload = contract.ChangeConfiguration(
            user_id=session.user_id,
            configuration_id=configuration_id,
            **msgspec.structs.asdict(body),
        )
        return await _call(context, contract.CHANGE, payload, request)

    @delete(
        "/{configuration_id:str}",
        status_code=200,
        operation_class=operation(is_command=True, error_statuses=(404,)),
    )
    async def forget(
        self,
        request: HttpRequest,
        context: ControllerContext,
        session: Session,
        configuration_id: str,
    ) -> Configuration:
        """Delete a configuration. The response is the last state of the configuration."""
        payload = contract.DeleteConfiguration(
            user_id=session.user_id, configuration_id=configuration_id
        )
        return await _call(context, contract.DELETE, payload, request)


async def _call(
    context: ControllerContext, verb: str, payload: msgspec.Struct, request: HttpRequest
) -> Configuration:
    """The configuration that the service answers with."""
    reply = await context.call_service(SERVICE, verb, payload, contract.ConfigurationReply, request)
    return reply.configuration
