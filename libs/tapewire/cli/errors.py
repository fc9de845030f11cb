"""What stops a command: one line on stderr that says what, with which value, and what to do."""

from typing import IO, Any

import click

from tapewire.runtime import BadSetting, Settings, event_packages

EXIT_USAGE = 2
"""What was asked for cannot be: an option, a setting, a file, a port."""
EXIT_UNAVAILABLE = 3
"""NATS cannot be reached."""


class CliError(click.ClickException):
    """Ends the command with `exit_code`, saying `message`."""

    def __init__(self, message: str, exit_code: int = EXIT_USAGE) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code  # type: ignore[misc]  # click reads it from the instance

    def show(self, file: IO[Any] | None = None) -> None:
        """The one line."""
        click.echo(f"tapewire: {self.format_message()}", err=True, file=file)


def load_settings(environ: dict[str, str] | None = None) -> Settings:
    """The settings that the environment states, and the event types of other packages imported.
    Raises Trouble, which names the bad one."""
    try:
        settings = Settings.from_env(environ)
        event_packages.load(settings.event_packages)
    except BadSetting as error:
        raise CliError(str(error)) from error
    return settings
