"""Handles requests about the configurations of users."""

from collections.abc import Callable
from datetime import datetime

from tapewire.decimals import abbreviate
from tapewire.log import (
    CommandHandler,
    CommandRejected,
    EventLog,
    EventSubject,
    LatestValueStore,
    Versioned,
    view_checkpoints,
)
from tapewire.log.list_cursor import page_by_id
from tapewire.runtime import RequestContext
from tapewire.runtime.commands import handle_command
from tapewire.runtime.contracts.configurations import (
    ChangeConfiguration,
    ConfigurationReply,
    ConfigurationsReply,
    CreateConfiguration,
    DeleteConfiguration,
    GetConfiguration,
    ListConfigurations,
)
from tapewire.views import ConfigurationsView
from tapewire_services.insights.domain import text_validation
from tapewire_services.insights.domain.configurations import (
    DOMAIN,
    Absent,
    Change,
    Command,
    Create,
    Delete,
    State,
    derive_configuration_id,
)
from tapewire_services.insights.service import utc_now

MAX_CONFIGURATIONS_PER_USER = 50
"""Configurations that a user may have at the same time."""
MAX_ID_CHARACTERS = 64


class ConfigurationsService:
    """The handlers of `svc.insights.*` for configurations."""

    def __init__(
        self,
        log: EventLog,
        values: LatestValueStore,
        command_handler: CommandHandler[State, Command],
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._log = log
        self._values = values
        self._command_handler = command_handler
        self._clock = clock

    async def create(
        self, request: CreateConfiguration, context: RequestContext
    ) -> ConfigurationReply:
        """Create a configuration. A repeated command gets the configuration it created before."""
        user = text_validation.validate_user_id(request.user_id)
        command = Create(
            id=context.command_id,
            at=self._clock(),
            user=user,
            configuration_id=derive_configuration_id(user, context.command_id),
            name=request.name,
            tickers=request.tickers,
            tags=request.tags,
        )
        await self._check_limit(command)
        subject = EventSubject(user, DOMAIN, command.configuration_id)
        return _build_reply(
            await handle_command(self._command_handler, subject, command, context, is_new=True)
        )

    async def change(
        self, request: ChangeConfiguration, context: RequestContext
    ) -> ConfigurationReply:
        """Change the given fields of a configuration."""
        subject = _configuration_subject(request)
        command = Change(
            id=context.command_id,
            at=self._clock(),
            user=request.user_id,
            name=request.name,
            tickers=request.tickers,
            tags=request.tags,
        )
        return _build_reply(await handle_command(self._command_handler, subject, command, context))

    async def delete(
        self, request: DeleteConfiguration, context: RequestContext
    ) -> ConfigurationReply:
        """Delete a configuration."""
        subject = _configuration_subject(request)
        command = Delete(id=context.command_id, at=self._clock(), user=request.user_id)
        return _build_reply(await handle_command(self._command_handler, subject, command, context))

    async def get(self, request: GetConfiguration, _: RequestContext) -> ConfigurationReply:
        """Return one configuration."""
        subject = _configuration_subject(request)
        view, _bounds = await view_checkpoints.load(
            self._log, self._values, ConfigurationsView, subject.owner
        )
        configuration = view.get(subject.entity)
        if configuration is None:
            raise _not_found(subject.entity)
        return ConfigurationReply(configuration=configuration)

    async def list(self, request: ListConfigurations, _: RequestContext) -> ConfigurationsReply:
        """Return a page of the user's configurations as of the end of the log."""
        user = text_validation.validate_user_id(request.user_id)
        view, bounds = await view_checkpoints.load(
            self._log, self._values, ConfigurationsView, user
        )
        configurations, following = page_by_id(
            view.configurations(),
            lambda one: one.id,
            request.limit,
            request.cursor,
            "configurations",
        )
        return ConfigurationsReply(
            configurations=configurations,
            next=following,
            as_of=bounds.last,
            epoch=bounds.epoch,
        )

    async def _check_limit(self, command: Create) -> None:
        """Raise CommandRejected at the limit. Concurrent requests may exceed it slightly."""
        view, _ = await view_checkpoints.load(
            self._log, self._values, ConfigurationsView, command.user
        )
        count = len(view.configurations())
        if count >= MAX_CONFIGURATIONS_PER_USER and view.get(command.configuration_id) is None:
            message = f"there are {count} configurations, at most {MAX_CONFIGURATIONS_PER_USER}"
            raise CommandRejected("conflict", f"{message}: delete one first")


def _configuration_subject(
    request: ChangeConfiguration | DeleteConfiguration | GetConfiguration,
) -> EventSubject:
    """Return the subject of the user's configuration. That of another user is not found."""
    user = text_validation.validate_user_id(request.user_id)
    if not 1 <= len(request.configuration_id) <= MAX_ID_CHARACTERS:
        raise _not_found(request.configuration_id)
    return EventSubject(user, DOMAIN, request.configuration_id)


def _not_found(id_: str) -> CommandRejected:
    return CommandRejected("not_found", f"there is no configuration {abbreviate(id_)}")


def _build_reply(versioned: Versioned[State]) -> ConfigurationReply:
    if isinstance(versioned.state, Absent):
        raise CommandRejected("not_found", "there is no such configuration")
    return ConfigurationReply(configuration=versioned.state.configuration)
