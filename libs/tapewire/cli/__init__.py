"""The command line `tapewire`: one module, or one package, for each command.

A command is imported only when it is run, so `tapewire run` does not load what `tapewire up` needs.
Start at the command you are interested in; `errors` and `connection` are shared by all.
"""

from importlib import import_module

import click

COMMANDS = {
    "up": "up.command",
    "run": "run",
    "provision": "provision",
    "settings": "settings",
    "status": "status",
    "tail": "tail.command",
    "notify": "notify",
    "items": "items.command",
    "verify": "verify",
    "parked": "parked",
    "protocol": "protocol.document",
}
"""The module of every command, in the order of `--help`. Its function has the command's name."""


class LazyGroup(click.Group):
    """A group that imports a command when it is first asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"tapewire.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tapewire", message="%(package)s %(version)s")
def main() -> None:
    """Trading services over NATS JetStream, served to browsers as resumable streams."""
