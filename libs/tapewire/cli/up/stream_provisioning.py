"""How `up` provisions the streams: of its own server, and of one that is not its own."""

from collections.abc import Mapping

from tapewire.cli.errors import EXIT_USAGE
from tapewire.cli.up.supervisor import StartFailed
from tapewire.log import LogError, OutcomeUnknown, Unavailable
from tapewire.log.jetstream import (
    BadCredentials,
    NatsConnection,
    NatsCredentials,
    connect,
    provision,
)
from tapewire.log.jetstream.provisioning import provision_when_available
from tapewire.log.jetstream.stream_limits import find_limit_warnings


async def provision_streams(
    url: str,
    *,
    durables: Mapping[str, str],
    journal_bytes: int,
    wait_seconds: float,
    continues: bool,
) -> list[str]:
    """Create the streams of the embedded server at `url`, or restore them; the changes, and what
    has no room for its limit. Raises LogError."""
    connection = await connect(url, "tapewire up", wait_seconds=wait_seconds)
    try:
        changes = await provision(
            connection,
            journal_bytes=journal_bytes,
            durables=durables,
            replace_journal=False,
            continues=continues,
        )
        return [*changes, *await find_limit_warnings(connection, journal_bytes)]
    finally:
        await connection.close()


async def provision_external_streams(
    url: str,
    *,
    credentials: NatsCredentials,
    replicas: int,
    journal_bytes: int,
    wait_seconds: float,
) -> NatsConnection:
    """Create the streams of a server that is not ours, or restore them; the open connection.

    Raises:
        StartFailed: the server does not answer, or rejects a stream.
    """
    try:
        connection = await connect(
            url, "tapewire up", wait_seconds=wait_seconds, credentials=credentials
        )
        await provision_when_available(
            connection,
            wait_seconds=wait_seconds,
            replicas=replicas,
            journal_bytes=journal_bytes,
            replace_journal=False,
            continues=False,
        )
    except (Unavailable, OutcomeUnknown) as error:
        raise StartFailed(str(error), 3) from error
    except LogError as error:
        raise StartFailed(f"the streams cannot be made: {error}") from error
    except BadCredentials as error:
        raise StartFailed(f"cannot connect to NATS: {error}", EXIT_USAGE) from error
    return connection
