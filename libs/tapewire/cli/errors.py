"""Errors that end a command with one line on stderr, and the settings of a command.

The imports of `load_settings` are local: `tapewire run` reports errors too, and would otherwise
load all that a service needs before it becomes the service.
"""

from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tapewire.runtime import Settings

EXIT_USAGE = 2
"""An option, a setting, a file or a port cannot be used."""
EXIT_UNAVAILABLE = 3
"""NATS or a service cannot be reached."""


class CliError(click.ClickException):
    """Ends the command with `exit_code` and prints `message` on one line, secrets masked."""

    def __init__(self, message: str, exit_code: int = EXIT_USAGE) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code  # type: ignore[misc]  # click reads it from the instance

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the error, as click asks."""
        from tapewire.runtime.logging_setup import redact

        click.echo(f"tapewire: {redact(self.format_message())}", err=True, file=file)


def load_settings(environ: dict[str, str] | None = None) -> "Settings":
    """Return the settings of the environment, and import the event types of other packages.

    Raises:
        CliError: A setting is malformed; the message names it.
    """
    from tapewire.runtime import BadSetting, Settings, event_packages

    try:
        settings = Settings.from_env(environ)
        event_packages.load(settings.event_packages)
    except BadSetting as error:
        raise CliError(str(error)) from error
    return settings
