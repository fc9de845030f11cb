"""The command `protocol`."""

import importlib
import importlib.util
import json

import click

from tapewire.cli.errors import EXIT_USAGE, CliError, load_settings
from tapewire.cli.protocol.asyncapi import build_asyncapi
from tapewire.cli.protocol.document import render_document
from tapewire.cli.protocol.typescript import render_typescript
from tapewire.events import CATALOGUE


@click.command()
@click.option("--package", metavar="NAME", help="Only what this top-level package declares.")
@click.option("--asyncapi", is_flag=True, help="Print an AsyncAPI 3 document in JSON instead.")
@click.option(
    "--typescript", is_flag=True, help="Print TypeScript types of all streams and calls instead."
)
def protocol(package: str | None, *, asyncapi: bool, typescript: bool) -> None:
    """Print every event, value and request with its fields, as Markdown.

    Event types of other packages that are installed, or named in TAPEWIRE_EVENT_PACKAGES, are
    among them.
    """
    if typescript:
        click.echo(describe_in_typescript(), nl=False)
        return
    load_settings()
    packages = sorted({kind.package for kind in CATALOGUE.event_types()})
    if package is not None and package not in packages:
        raise CliError(f"no package {package!r} declares types; there are: {', '.join(packages)}")
    if asyncapi:
        click.echo(json.dumps(build_asyncapi(package), indent=2, ensure_ascii=False))
    else:
        click.echo(render_document(package), nl=False)


def describe_in_typescript() -> str:
    """The types of what the edge sends and accepts. Raises CliError if it is not installed."""
    if importlib.util.find_spec("tapewire_services") is None:
        raise CliError(
            "the services are not installed here, whose streams and calls are described", EXIT_USAGE
        )
    edge = importlib.import_module("tapewire_services.edge.http.api_document")
    return render_typescript(edge.build_api_document(), edge.describe_topics())
