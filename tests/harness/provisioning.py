"""What tests of administration do: requests of an operator, commands, waiting for probes."""

import contextlib
import json
import os
from typing import Any

import httpx

from tapewire.log.jetstream import NatsConnection
from tests.harness.fork_server import run_cli
from tests.harness.waiting import wait_until_async

COMMAND_TIMEOUT_SECONDS = 90.0


def run_command(*command: str, **env: str) -> tuple[int, str]:
    """The exit code and the output, both streams, of a `tapewire` command."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("TAPEWIRE_")}
    done = run_cli(*command, timeout=COMMAND_TIMEOUT_SECONDS, environment={**plain, **env})
    return done.returncode, done.stdout + done.stderr


async def ask(connection: NatsConnection, verb: str, request: dict[str, Any] | None = None) -> Any:
    """The answer of the JetStream API, as an operator gets it."""
    answer = await connection.request(f"$JS.API.{verb}", json.dumps(request or {}).encode())
    return json.loads(answer.data)


async def get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        return await http.get(url)


async def wait_held(url: str, *words: str) -> None:
    """Wait until the process at `url` is not ready, for a reason with `words`."""
    seen = ""

    async def held() -> bool:
        nonlocal seen
        with contextlib.suppress(httpx.TransportError):
            answer = await get(f"{url}/health/ready")
            seen = answer.text
            body = answer.json()
            return (answer.status_code, body.get("status")) == (503, "held") and all(
                word in body["reason"] for word in words
            )
        return False

    await wait_until_async(f"{url} holds because of {words}", held, describe_last=lambda: seen)


async def wait_ready(url: str) -> None:
    """Wait until the process at `url` is ready."""
    seen = ""

    async def ready() -> bool:
        nonlocal seen
        with contextlib.suppress(httpx.TransportError):
            answer = await get(f"{url}/health/ready")
            seen = answer.text
            return answer.status_code == 200
        return False

    await wait_until_async(f"{url} is ready", ready, describe_last=lambda: seen)
