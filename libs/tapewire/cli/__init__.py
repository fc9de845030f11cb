"""`tapewire` on the command line: one module, or one package, a command.

`up` starts everything on this machine, `run` one service, `provision` the streams; `settings` says
what can be set, `status` which services run; `tail` shows a stream in the terminal; `notify` tells
users something, `items` loads analysed items; `verify` checks
everything against the log; `protocol` prints every event and request. Start at the command you are
after; what they share is in `trouble`.
"""

import click

from tapewire.cli.items import items
from tapewire.cli.notify import notify
from tapewire.cli.protocol import protocol
from tapewire.cli.provision import provision
from tapewire.cli.run import run
from tapewire.cli.settings import settings
from tapewire.cli.status import status
from tapewire.cli.tail import tail
from tapewire.cli.up import up
from tapewire.cli.verify import verify


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tapewire", message="%(package)s %(version)s")
def main() -> None:
    """Trading services over NATS JetStream, served to browsers as resumable streams."""


COMMANDS = (up, run, provision, settings, status, tail, notify, items, verify, protocol)

for command in COMMANDS:
    main.add_command(command)
