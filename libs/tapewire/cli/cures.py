"""What to do when a command reaches nothing: the last part of its error message.

`describe_running` names the platforms that run on this machine. `find_cure` looks at a NATS server
that answers, and says why a request to it failed.
"""

from collections.abc import Sequence
from pathlib import Path

from tapewire.cli.up.registry import RunningUp, find_all_running
from tapewire.log import LogError, Unavailable
from tapewire.log.jetstream import NatsConnection, NotPermitted
from tapewire.log.jetstream.provisioning import find_stream_problems
from tapewire.runtime import RequestTimeout

MAX_NAMED = 5
"""Data directories that a message names."""
START = "start one with `make run` or `tapewire up`"
ANOTHER_USER = (
    "sign in as one that may, such as admin (TAPEWIRE_NATS_USER and TAPEWIRE_NATS_PASSWORD_FILE)"
)


def describe_running(option: str, *, besides: Path | None = None) -> str:
    """Which platforms run on this machine and how to address them, or how to start one.

    Args:
        option: The option that takes an address instead, such as ``--nats URL``.
        besides: A data directory that is not named.
    """
    running = [one for one in find_all_running() if not _is_same(one.data_dir, besides)]
    if not running:
        return f"no `tapewire up` runs on this machine; {START}, or name an address: {option}"
    return f"{_name(running)}; or name an address: {option}"


def _name(running: Sequence[RunningUp]) -> str:
    named = [f"--data-dir {one.data_dir} ({one.state.url})" for one in running[:MAX_NAMED]]
    more = len(running) - len(named)
    return (
        "`tapewire up` runs on this machine; address it by "
        + " or ".join(named)
        + (f" ({more:,} more)" if more > 0 else "")
    )


def _is_same(one: Path, other: Path | None) -> bool:
    return other is not None and one.resolve() == other.resolve()


async def find_cure(connection: NatsConnection, error: Exception) -> str | None:
    """What to do about `error`, which a request on `connection` raised; None if that is not
    known. Asks the server."""
    if isinstance(error, NotPermitted):
        return ANOTHER_USER
    if not isinstance(error, Unavailable | RequestTimeout) or not connection.is_connected:
        return None
    try:
        problems = await find_stream_problems(connection)
    except NotPermitted:
        return ANOTHER_USER
    except Unavailable:
        return "this NATS server has no JetStream: it is not one of Tapewire's"
    except LogError:
        return None
    missing = [problem.split()[1] for problem in problems if " is missing: " in problem]
    if missing:
        return f"no stream {', '.join(missing)} at this NATS server: run `tapewire provision`"
    if problems:
        return "; ".join(problems)
    if isinstance(error, RequestTimeout):
        return "`tapewire status` shows which services run"
    return None
