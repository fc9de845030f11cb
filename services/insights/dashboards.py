"""What the insights service answers about configurations."""

from collections.abc import Callable
from datetime import datetime

from services.insights.domain import texts
from services.insights.domain.configurations import (
    DOMAIN,
    Absent,
    Change,
    Command,
    Create,
    Delete,
    State,
    configuration_id,
)
from services.insights.service import utc_now
from tapewire.log import Entities, EventLog, Known, Refusal, Subject, Values, views
from tapewire.runtime import Context
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

CONFIGURATIONS_A_USER = 50
"""Configurations that a user may have at the same time."""
ID_CHARACTERS = 64


class Dashboards:
    """The handlers of `svc.insights.*` about configurations."""

    def __init__(
        self,
        log: EventLog,
        values: Values,
        configurations: Entities[State, Command],
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._log = log
        self._values = values
        self._configurations = configurations
        self._clock = clock

    async def create(self, request: CreateConfiguration, context: Context) -> ConfigurationReply:
        """Keep a new one, or answer with the one that this very command made."""
        user = texts.user(request.user_id)
        command = Create(
            id=context.command_id,
            at=self._clock(),
            user=user,
            configuration_id=configuration_id(user, context.command_id),
            name=request.name,
            tickers=request.tickers,
            tags=request.tags,
        )
        await self._room(command)
        subject = Subject(user, DOMAIN, command.configuration_id)
        return _reply(await self._decide(subject, command, context, new=True))

    async def change(self, request: ChangeConfiguration, context: Context) -> ConfigurationReply:
        """Change what is given."""
        subject = _subject(request)
        command = Change(
            id=context.command_id,
            at=self._clock(),
            user=request.user_id,
            name=request.name,
            tickers=request.tickers,
            tags=request.tags,
        )
        await self._configurations.fresh(subject)
        return _reply(await self._decide(subject, command, context))

    async def delete(self, request: DeleteConfiguration, context: Context) -> ConfigurationReply:
        """Forget it."""
        subject = _subject(request)
        command = Delete(id=context.command_id, at=self._clock(), user=request.user_id)
        await self._configurations.fresh(subject)
        return _reply(await self._decide(subject, command, context))

    async def get(self, request: GetConfiguration, _: Context) -> ConfigurationReply:
        """One, as it is now."""
        subject = _subject(request)
        view, _bounds = await views.load(self._log, self._values, ConfigurationsView, subject.owner)
        configuration = view.get(subject.entity)
        if configuration is None:
            raise _unknown(subject.entity)
        return ConfigurationReply(configuration=configuration)

    async def list(self, request: ListConfigurations, _: Context) -> ConfigurationsReply:
        """The user's, exactly as of the end of the log."""
        user = texts.user(request.user_id)
        view, bounds = await views.load(self._log, self._values, ConfigurationsView, user)
        return ConfigurationsReply(
            configurations=view.configurations(), as_of=bounds.last, epoch=bounds.epoch
        )

    async def _room(self, command: Create) -> None:
        """Requests at the same moment may go a little over; the bound is for memory's sake."""
        view, _ = await views.load(self._log, self._values, ConfigurationsView, command.user)
        count = len(view.configurations())
        if count >= CONFIGURATIONS_A_USER and view.get(command.configuration_id) is None:
            message = f"there are {count} configurations, at most {CONFIGURATIONS_A_USER}"
            raise Refusal("conflict", f"{message}: delete one first")

    async def _decide(
        self, subject: Subject, command: Command, context: Context, *, new: bool = False
    ) -> Known[State]:
        return await self._configurations.handle(
            subject,
            command,
            correlation=context.correlation,
            traceparent=context.traceparent,
            new=new,
        )


def _subject(request: ChangeConfiguration | DeleteConfiguration | GetConfiguration) -> Subject:
    """Another user's configuration is none of this user's: it is not found."""
    user = texts.user(request.user_id)
    if not 1 <= len(request.configuration_id) <= ID_CHARACTERS:
        raise _unknown(request.configuration_id)
    return Subject(user, DOMAIN, request.configuration_id)


def _unknown(id_: str) -> Refusal:
    return Refusal("not_found", f"there is no configuration {texts.show(id_)}")


def _reply(known: Known[State]) -> ConfigurationReply:
    if isinstance(known.state, Absent):
        raise Refusal("not_found", "there is no such configuration")
    return ConfigurationReply(configuration=known.state.configuration)
