"""The users of the embedded message server: passwords in files that only their owner can read.

The passwords are made once for a data directory, in its folder ``nats``, one file a user.
"""

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from tapewire.cli.errors import CliError
from tapewire.cli.nats_config.accounts import ADMIN, quote
from tapewire.runtime.logging_setup import remember_secret

FOLDER = "nats"
PASSWORD_BYTES = 24
_OTHER_CREDENTIALS = (
    "TAPEWIRE_NATS_TOKEN_FILE",
    "TAPEWIRE_NATS_NKEY",
    "TAPEWIRE_NATS_CREDS",
    "TAPEWIRE_NATS_CA",
    "TAPEWIRE_NATS_CERT",
    "TAPEWIRE_NATS_KEY",
)
"""Settings for a message server that is not the embedded one."""


class NatsUsers:
    """The users and their passwords. Create it with `create`."""

    def __init__(self, folder: Path, passwords: dict[str, str]) -> None:
        self._folder = folder
        self._passwords = passwords

    @classmethod
    def create(cls, directory: Path, names: Iterable[str]) -> "NatsUsers":
        """Read the passwords of `names` and of the administrator, and make those that are missing.

        Raises:
            CliError: a file cannot be read or written.
        """
        folder = directory / FOLDER
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            passwords = {name: _read_or_make(folder / name) for name in (ADMIN, *names)}
        except OSError as error:
            raise CliError(
                f"the passwords in {str(folder)!r} cannot be read or written: {error.strerror}"
            ) from error
        remember_secret(*passwords.values())
        return cls(folder, passwords)

    def secrets(self, name: str) -> list[dict[str, str]]:
        """The credentials of a user, for the server's configuration."""
        return [{"password": quote(self._passwords[name])}]

    def environment(self, name: str) -> dict[str, str]:
        """The settings with which the service `name` connects."""
        return {
            **dict.fromkeys(_OTHER_CREDENTIALS, ""),
            "TAPEWIRE_NATS_USER": name,
            "TAPEWIRE_NATS_PASSWORD_FILE": str(self._folder / name),
        }

    def admin_url(self, address: str) -> str:
        """The URL of the server at `address` for an administrator."""
        return f"nats://{ADMIN}:{self._passwords[ADMIN]}@{address}"


def _read_or_make(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        write_private(path, f"{password}\n".encode())
        return password


def write_private(path: Path, data: bytes) -> None:
    """Replace `path` atomically by a file that only its owner can read. Raises OSError."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    new.replace(path)
