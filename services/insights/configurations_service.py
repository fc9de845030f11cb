"""What the insights service answers about configurations."""

from collections.abc import Callable
from datetime import datetime

from tapewire.log import (
    CommandHandler,
    CommandRejected,
    EventLog,
    EventSubject,
    LatestValueStore,
    Versioned,
    view_checkpoints,
)
from tapewire.runtime import RequestContext
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
    """The handlers of `svc.insights.*` about configurations."""

    def __init__(
        self,
        log: EventLog,
        values: LatestValueStore,
        configurations: CommandHandler[State, Command],
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._log = log
        self._values = values
        self._configurations = configurations
        self._clock = clock

    async def create(
        self, request: CreateConfiguration, context: RequestContext
    ) -> ConfigurationReply:
        """Keep a new one, or answer with the one that this very command made."""
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
        return _build_reply(await self._handle_command(subject, command, context, is_new=True))

    async def change(
        self, request: ChangeConfiguration, context: RequestContext
    ) -> ConfigurationReply:
        """Change what is given."""
        subject = _configuration_subject(request)
        command = Change(
            id=context.command_id,
            at=self._clock(),
            user=request.user_id,
            name=request.name,
            tickers=request.tickers,
            tags=request.tags,
        )
        await self._configurations.load_latest(subject)
        return _build_reply(await self._handle_command(subject, command, context))

    async def delete(
        self, request: DeleteConfiguration, context: RequestContext
    ) -> ConfigurationReply:
        """Forget it."""
        subject = _configuration_subject(request)
        command = Delete(id=context.command_id, at=self._clock(), user=request.user_id)
        await self._configurations.load_latest(subject)
        return _build_reply(await self._handle_command(subject, command, context))

    async def get(self, request: GetConfiguration, _: RequestContext) -> ConfigurationReply:
        """One, as it is now."""
        subject = _configuration_subject(request)
        view, _bounds = await view_checkpoints.load(
            self._log, self._values, ConfigurationsView, subject.owner
        )
        configuration = view.get(subject.entity)
        if configuration is None:
            raise _not_found(subject.entity)
        return ConfigurationReply(configuration=configuration)

    async def list(self, request: ListConfigurations, _: RequestContext) -> ConfigurationsReply:
        """The user's, exactly as of the end of the log."""
        user = text_validation.validate_user_id(request.user_id)
        view, bounds = await view_checkpoints.load(
            self._log, self._values, ConfigurationsView, user
        )
        return ConfigurationsReply(
            configurations=view.configurations(), as_of=bounds.last, epoch=bounds.epoch
        )

    async def _check_limit(self, command: Create) -> None:
        """Requests at the same moment may go a little over; the bound is for memory's sake."""
        view, _ = await view_checkpoints.load(
            self._log, self._values, ConfigurationsView, command.user
        )
        count = len(view.configurations())
        if count >= MAX_CONFIGURATIONS_PER_USER and view.get(command.configuration_id) is None:
            message = f"there are {count} configurations, at most {MAX_CONFIGURATIONS_PER_USER}"
            raise CommandRejected("conflict", f"{message}: delete one first")

    async def _handle_command(
        self,
        subject: EventSubject,
        command: Command,
        context: RequestContext,
        *,
        is_new: bool = False,
    ) -> Versioned[State]:
        return await self._configurations.handle(
            subject,
            command,
            correlation=context.correlation,
            traceparent=context.traceparent,
            is_new=is_new,
        )


def _configuration_subject(
    request: ChangeConfiguration | DeleteConfiguration | GetConfiguration,
) -> EventSubject:
    """Another user's configuration is none of this user's: it is not found."""
    user = text_validation.validate_user_id(request.user_id)
    if not 1 <= len(request.configuration_id) <= MAX_ID_CHARACTERS:
        raise _not_found(request.configuration_id)
    return EventSubject(user, DOMAIN, request.configuration_id)


def _not_found(id_: str) -> CommandRejected:
    return CommandRejected("not_found", f"there is no configuration {text_validation.shorten(id_)}")


def _build_reply(versioned: Versioned[State]) -> ConfigurationReply:
    if isinstance(versioned.state, Absent):
        raise CommandRejected("not_found", "there is no such configuration")
    return ConfigurationReply(configuration=versioned.state.configuration)
