"""The command `protocol`."""

import click

from tapewire.cli.protocol.document import document
from tapewire.cli.trouble import Trouble, settings_from_env
from tapewire.events import CATALOGUE


@click.command()
@click.option("--package", metavar="NAME", help="Only what this top-level package declares.")
def protocol(package: str | None) -> None:
    """Print every event, value and request with its fields, as Markdown.

    Event types of other packages that are installed, or named in TAPEWIRE_EVENT_PACKAGES, are
    among them.
    """
    settings_from_env()
    packages = sorted({kind.package for kind in CATALOGUE.kinds()})
    if package is not None and package not in packages:
        raise Trouble(f"no package {package!r} declares types; there are: {', '.join(packages)}")
    click.echo(document(package), nl=False)
