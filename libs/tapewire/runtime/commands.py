"""Commands that arrive as requests: decided under the ids that the request carries."""

from typing import Protocol, TypeVar

from tapewire.log import Command, CommandHandler, EventSubject, Versioned
from tapewire.runtime.requests import RequestContext


class UserCommand(Command, Protocol):
    """A command of a user."""

    @property
    def user(self) -> str: ...


S = TypeVar("S")
C = TypeVar("C", bound=UserCommand)


async def handle_command(
    command_handler: CommandHandler[S, C],
    subject: EventSubject,
    command: C,
    context: RequestContext,
    *,
    is_new: bool = False,
) -> Versioned[S]:
    """Decide `command` on the entity `subject`, with the correlation id, the trace and the
    idempotency key of the request. Returns and raises as `CommandHandler.handle`."""
    return await command_handler.handle(
        subject,
        command,
        correlation=context.correlation,
        traceparent=context.traceparent,
        is_new=is_new,
        key=context.key(command.user),
    )
