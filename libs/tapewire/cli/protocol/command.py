"""The command `protocol`."""

import json

import click

from tapewire.cli.errors import CliError, load_settings
from tapewire.cli.protocol.asyncapi import build_asyncapi
from tapewire.cli.protocol.document import render_document
from tapewire.events import CATALOGUE


@click.command()
@click.option("--package", metavar="NAME", help="Only what this top-level package declares.")
@click.option("--asyncapi", is_flag=True, help="Print an AsyncAPI 3 document in JSON instead.")
def protocol(package: str | None, *, asyncapi: bool) -> None:
    """Print every event, value and request with its fields, as Markdown.

    Event types of other packages that are installed, or named in TAPEWIRE_EVENT_PACKAGES, are
    among them.
    """
    load_settings()
    packages = sorted({kind.package for kind in CATALOGUE.event_types()})
    if package is not None and package not in packages:
        raise CliError(f"no package {package!r} declares types; there are: {', '.join(packages)}")
    if asyncapi:
        click.echo(json.dumps(build_asyncapi(package), indent=2, ensure_ascii=False))
    else:
        click.echo(render_document(package), nl=False)
