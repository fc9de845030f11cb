"""`tapewire run SERVICE`: become one service, as a container or a process supervisor wants it.

What can be run is what is there: every package within `tapewire_services` that has a `__main__`.
"""

import importlib.util
import os
import sys
from pathlib import Path

import click

from tapewire.cli.errors import CliError


def installed_services() -> list[str]:
    """The names of all services that are installed, sorted."""
    spec = importlib.util.find_spec("tapewire_services")
    places = spec.submodule_search_locations if spec is not None else None
    found = {
        main.parent.name for place in places or () for main in Path(place).glob("*/__main__.py")
    }
    return sorted(found)


def service_command(service: str) -> tuple[str, ...]:
    """What starts `service`. ``-P`` keeps the working directory off the import path."""
    return (sys.executable, "-P", "-m", f"tapewire_services.{service}")


@click.command()
@click.argument("service")
def run(service: str) -> None:
    """Run one SERVICE in the foreground, configured by the environment.

    It ends at SIGTERM or Ctrl-C: 0 after a clean stop, 2 for a bad setting, 3 without NATS.
    """
    there = installed_services()
    if service not in there:
        raise CliError(f"there is no service {service!r}; there are: {', '.join(there) or 'none'}")
    line = service_command(service)
    os.execv(line[0], line)  # noqa: S606  # no shell is wanted
