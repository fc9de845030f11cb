"""The command `nats-config`."""

from collections.abc import Mapping, Sequence

import click

from tapewire.cli.errors import CliError, load_settings
from tapewire.cli.nats_config.accounts import ADMIN, AccessClash, quote, render_accounts
from tapewire.cli.nats_config.declarations import load_accesses

HEADER = """\
# Accounts, users and permissions, by `tapewire nats-config`: edit the declarations, not this file.
# Include it in the configuration of NATS. The variables are read from the environment.
"""


@click.command("nats-config")
@click.option("--nkey", "nkeys", metavar="USER=KEY", multiple=True,
              help="Let USER sign in with this public nkey, not a password; several are several "
              "keys.")  # fmt: skip
def nats_config(nkeys: tuple[str, ...]) -> None:
    """Print the accounts, users and permissions for the message server.

    One user for each service, one for an operator, one for `tapewire provision` (admin), and one
    for each installed package of event types that declares NATS_ACCESS. Passwords are references
    to variables, such as $NATS_ORDERS_PASSWORD.
    """
    accesses = load_accesses(load_settings())
    keys = _parse_nkeys(nkeys, [ADMIN, *(access.name for access in accesses)])

    def secrets(name: str) -> Sequence[Mapping[str, str]]:
        own = [{"nkey": quote(key)} for user, key in keys if user == name]
        return own or [{"password": f"${password_variable(name)}"}]

    try:
        click.echo(HEADER + render_accounts(accesses, secrets), nl=False)
    except AccessClash as error:
        raise CliError(str(error)) from error


def password_variable(name: str) -> str:
    """The environment variable with the password of the user `name`."""
    return f"NATS_{name.upper().replace('-', '_')}_PASSWORD"


def _parse_nkeys(given: Sequence[str], users: Sequence[str]) -> list[tuple[str, str]]:
    found = []
    for each in given:
        user, equals, key = each.partition("=")
        if not equals or not (key.startswith("U") and len(key) == 56 and key.isalnum()):
            raise CliError(f"--nkey {each!r} is not USER=KEY with the public key of a user (U…)")
        if user not in users:
            raise CliError(f"--nkey: there is no user {user!r}; there are: {', '.join(users)}")
        found.append((user, key))
    return found
