"""What `up` starts, in which order and with which environment. Pure functions.

The NATS server comes first, then the services that the edge sends requests to, then the edge. To
add a service, add its name to `STAGES`.
"""

import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from tapewire.cli.run import service_command
from tapewire.cli.up.child_process import ProcessSpec
from tapewire.cli.up.data_dir import DEFAULT_DATA_DIR

STAGES = (("prices",), ("orders",), ("positions", "strategies", "alerts", "insights"))
"""The services. Those of a stage start together when the previous stage is ready."""
SERVICES = tuple(name for stage in STAGES for name in stage)
EDGE_SERVICE = "edge"

SERVICE_STOP_TIMEOUT_SECONDS = 10.0
"""For five seconds of it, requests under way are still answered."""
EDGE_STOP_TIMEOUT_SECONDS = 7.0
"""In addition to the drain time."""

CONNECTS_PER_MINUTE = 1_000_000
"""New streams a minute from one address. On one machine all clients share an address, so a real
limit would only stop a developer who reloads a page."""
CALLS_PER_MINUTE = 1_000_000
"""Calls a minute by which a user may change something, for a developer's scripts."""


class UpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `up`. None means as the environment states, or not at all."""

    port: int | None = None
    data_dir: Path = Path(DEFAULT_DATA_DIR)
    feed: Path | None = None
    speed: float | None = None
    nats: str | None = None
    workers: int = 1
    sign_in: bool = True


def build_environment(options: UpOptions, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the services' environment: `environ`, changed for the options and for one machine."""
    overrides = {
        "TAPEWIRE_SIGN_IN": _format_bool(options.sign_in),
        # Without TLS, some clients do not send a secure cookie back.
        "TAPEWIRE_COOKIE_SECURE": _format_bool(False),
        # The services of one machine cannot share a port.
        "TAPEWIRE_HEALTH_PORT": "0",
    }
    if options.feed is not None:
        overrides["TAPEWIRE_FEED"] = str(options.feed.absolute())
    if options.speed is not None:
        overrides["TAPEWIRE_SPEED"] = f"{options.speed:g}"
    if options.port is not None:
        overrides["TAPEWIRE_PORT"] = str(options.port)
    if options.nats is not None:
        overrides["TAPEWIRE_NATS_URL"] = options.nats
    else:
        overrides["TAPEWIRE_REPLICAS"] = "1"
    raised = {
        "SSE_CONNECT_RATE": str(CONNECTS_PER_MINUTE),
        "TAPEWIRE_CALL_RATE": str(CALLS_PER_MINUTE),
    }
    return {**raised, **environ, **overrides}


def _format_bool(on: bool) -> str:
    return "true" if on else "false"


def process_names(options: UpOptions) -> list[str]:
    """Return the names of all processes, first to last."""
    return [*([] if options.nats else ["nats"]), *SERVICES, *_edge_names(options)]


def build_stages(
    options: UpOptions,
    env: Mapping[str, str],
    *,
    nats: ProcessSpec | None,
    listen_fd: int,
    lock_fd: int,
    drain_seconds: float,
    nats_environment: Callable[[str], Mapping[str, str]] = lambda _: {},
) -> list[list[ProcessSpec]]:
    """Return the stages. The edge's workers accept connections from one shared socket.

    `nats_environment` returns the settings with which a service signs in to NATS.
    """
    services = [
        [
            ProcessSpec(name=name, argv=service_command(name),
                 env={**env, **nats_environment(name)}, inherited_fds=(lock_fd,),
                 stop_timeout_seconds=SERVICE_STOP_TIMEOUT_SECONDS)
            for name in stage
        ]
        for stage in STAGES
    ]  # fmt: skip
    edges = [
        ProcessSpec(
            name=name,
            argv=service_command(EDGE_SERVICE),
            env={
                **env,
                **nats_environment(EDGE_SERVICE),
                "TAPEWIRE_LISTEN_FD": str(listen_fd),
            },
            inherited_fds=(lock_fd, listen_fd),
            stop_timeout_seconds=drain_seconds + EDGE_STOP_TIMEOUT_SECONDS,
        )
        for name in _edge_names(options)
    ]
    return [*([[nats]] if nats is not None else []), *services, edges]


def _edge_names(options: UpOptions) -> list[str]:
    return [f"{EDGE_SERVICE}-{number}" for number in range(options.workers)]


def format_welcome(url: str, *, nats_url: str, data_dir: Path, sign_in: bool) -> str:
    """Return commands that a first-time user can try."""
    bin_ = shlex.quote(str(Path(sys.executable).parent / "tapewire"))
    json_ = "-H 'Content-Type: application/json'"
    jar = shlex.quote(f"{data_dir}/cookies")
    rows = [
        ("page", f"{url}/" + ("   (sign in with any name)" if sign_in else "")),
        ("prices", f"curl -N '{url}/api/stream/prices?symbols=IBM,SPY'"),
    ]
    if sign_in:
        order = '{"symbol":"IBM","side":"buy","type":"market","qty":10}'
        rows += [
            ("sign in", f'curl -c {jar} {json_} -d \'{{"userId":"alice"}}\' {url}/api/session'),
            ("order", f"curl -b {jar} {json_} -d '{order}' {url}/api/orders"),
            ("orders", f"curl -N -b {jar} {url}/api/stream/orders"),
            ("terminal", f"{bin_} tail orders --user alice --url {url}"),
        ]
    rows += [
        ("data", f"{data_dir}   (NATS: {nats_url}, with a password in run.json)"),
        ("stop", "Ctrl-C"),
    ]
    return "\n".join(f"  {what:<10}{how}" for what, how in rows)
