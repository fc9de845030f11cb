"""`tapewire run SERVICE`: becomes one service, for a container or a process supervisor.

Every package in `tapewire_services` that has a `__main__` is a service.
"""

import importlib.util
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from tapewire.cli.errors import CliError
from tapewire.extras import SERVICE_EXTRAS, find_missing_extra


def installed_services() -> list[str]:
    """Return the names of all installed services, sorted."""
    spec = importlib.util.find_spec("tapewire_services")
    folders = spec.submodule_search_locations if spec is not None else None
    return sorted(
        {
            main.parent.name
            for folder in folders or ()
            for main in Path(folder).glob("*/__main__.py")
        }
    )


def service_command(service: str) -> tuple[str, ...]:
    """Return the command that starts `service`.

    The option ``-P`` keeps the working directory off the import path.
    """
    return (sys.executable, "-P", "-m", f"tapewire_services.{service}")


def check_extras(services: Iterable[str]) -> None:
    """Raises CliError if one of `services` needs an extra that is not installed."""
    for service in services:
        extra = SERVICE_EXTRAS.get(service)
        missing = None if extra is None else find_missing_extra(extra, f"the service {service}")
        if missing is not None:
            raise CliError(missing)


def _complete_service(_c: click.Context, _p: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in installed_services() if name.startswith(incomplete)]


@click.command()
@click.argument("service", shell_complete=_complete_service)
def run(service: str) -> None:
    """Run one SERVICE in the foreground, configured by the environment.

    It ends at SIGTERM or Ctrl-C: 0 after a clean stop, 2 for a bad setting, 3 without NATS.
    """
    services = installed_services()
    if service not in services:
        names = ", ".join(services) or "none"
        raise CliError(f"there is no service {service!r}; there are: {names}")
    check_extras([service])
    command = service_command(service)
    os.execv(command[0], command)  # noqa: S606  # no shell is wanted
