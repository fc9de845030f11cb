"""The command line `tapewire`: one module, or one package, for each command.

A command is imported only when it is run, so `tapewire run` does not load what `tapewire up` needs.
Start at the command you are interested in; `errors` and `connection` are shared by all.
"""

import contextlib
import errno
import os
import sys
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

import click

COMMANDS = {
    "up": "up.command",
    "run": "run",
    "provision": "provision",
    "nats-config": "nats_config.command",
    "settings": "settings",
    "status": "status",
    "top": "top.command",
    "tail": "tail.command",
    "notify": "notify",
    "items": "items.command",
    "verify": "verify",
    "parked": "parked",
    "execution": "execution",
    "split": "split",
    "journal": "journal.command",
    "protocol": "protocol.command",
    "completion": "completion",
}
"""The module of every command, in the order of `--help`. Its function has the command's name."""

ARGUMENTS = "tapewire.arguments"
_OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""What writing to a full disk, or to a terminal that is gone, raises."""


class LazyGroup(click.Group):
    """A group that imports a command when it is first asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"tapewire.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of `args`. For an unknown one the error names what was meant."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            near = get_close_matches(name, COMMANDS)
            meant = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise click.UsageError(f"No such command {name!r}.{meant}", ctx)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, and keep them for the masking of an error."""
        ctx.meta[ARGUMENTS] = [*args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. An argument that it rejects may be a URL with a password."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            for argument in ctx.meta[ARGUMENTS]:
                if ":" in argument:
                    _logging_setup().remember_url_secrets(argument)
            error.message = _logging_setup().redact(error.message)  # type: ignore[misc]
            raise
        except OSError as error:
            if error.errno not in _OUTPUT_ERRORS or error.filename is not None:
                raise
            _discard_output()
            raise click.ClickException(f"the output cannot be written: {error.strerror}") from error


def _discard_output() -> None:
    """Discard what is still buffered: at the exit Python would fail to write it once more."""
    with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _logging_setup() -> Any:
    """The module that masks secrets. Most commands never need it before they run."""
    return import_module("tapewire.runtime.logging_setup")


def _print_masked_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    _logging_setup().print_masked_traceback(kind, error, trace)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tapewire", message="%(package)s %(version)s")
def main() -> None:
    """Trading services over NATS JetStream, served to browsers as resumable streams."""
    sys.excepthook = _print_masked_traceback
