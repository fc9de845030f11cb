"""Settings: environment variables with defaults, which `tapewire settings` prints.

`Settings.from_env` reads them all at once and rejects bad values, naming the variable and the
value. Nothing else in Tapewire reads the environment. Start at `Settings`.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import Meta

from tapewire.runtime.logging_setup import mask

_PREFIX = "TAPEWIRE_"


class BadSetting(ValueError):
    """An environment variable has a bad value. The message names it, the value and what is
    allowed."""


def _setting(description: str, env: str | None = None, choices: str = "", **bounds: Any) -> Meta:
    """The description of a setting. `choices` lists its values, separated by bars."""
    if choices:
        bounds["pattern"] = f"^({choices})$"
    return Meta(description=description, extra={"env": env, "choices": choices}, **bounds)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of all services. Each service reads those that concern it."""

    nats_url: Annotated[str, _setting("NATS servers, comma-separated")] = "nats://127.0.0.1:4222"
    nats_wait: Annotated[
        float, _setting("seconds to wait for NATS and its streams at the start", gt=0)
    ] = 30.0
    replicas: Annotated[int, _setting("copies of every stream (3 in a cluster)", ge=1, le=5)] = 1

    log_format: Annotated[str, _setting("log lines: console or json", choices="console|json")] = (
        "json"
    )
    log_level: Annotated[
        str, _setting("least level logged", choices="debug|info|warning|error")
    ] = "info"
    otlp_endpoint: Annotated[
        str,
        _setting("OpenTelemetry collector (OTLP over HTTP); empty: no tracing, at no cost",
               "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ] = ""  # fmt: skip
    health_port: Annotated[
        int,
        _setting("port of /health of a service without HTTP of its own; 0: none", ge=0, le=65535),
    ] = 0
    health_host: Annotated[str, _setting("address that /health listens on")] = "127.0.0.1"
    instance: Annotated[str, _setting("name of this process in leases; empty: host and pid")] = ""
    ready_fd: Annotated[
        int,
        _setting("file descriptor to write a line to when ready (set by `up`); -1: none", ge=-1),
    ] = -1
    agent_heartbeat: Annotated[
        float,
        _setting(
            "seconds between two heartbeats of a service; 0: it announces nothing", ge=0, le=3600
        ),
    ] = 15.0
    agent_silence: Annotated[
        float,
        _setting("seconds without a heartbeat after which a service is announced as stopped; at "
               "least twice the heartbeat, and the same for all services", ge=0.1, le=36000),
    ] = 45.0  # fmt: skip

    event_packages: Annotated[
        tuple[str, ...],
        _setting("modules that declare event types of other packages, comma-separated; installed "
               "ones are found by themselves"),
    ] = ()  # fmt: skip

    feed: Annotated[str, _setting("recorded market data to play; empty: a random walk")] = ""
    feed_speed: Annotated[
        float, _setting("times real time that the feed runs at", "TAPEWIRE_SPEED", gt=0, le=1e6)
    ] = 1.0
    feed_end: Annotated[
        str, _setting("after the recording's last row: loop or stop", choices="loop|stop")
    ] = "loop"
    feed_seed: Annotated[int, _setting("seed of the random walk", ge=0)] = 1
    feed_symbols: Annotated[
        tuple[str, ...], _setting("symbols of the feed, comma-separated; empty: all")
    ] = ()

    host: Annotated[str, _setting("address that the edge listens on")] = "127.0.0.1"
    port: Annotated[int, _setting("port of the edge; 0: a free one", ge=0, le=65535)] = 8000
    listen_fd: Annotated[
        int, _setting("inherited listening socket of the edge (set by `up`); -1: none", ge=-1)
    ] = -1
    sign_in: Annotated[
        bool, _setting("development sign-in: POST /api/session takes any user id")
    ] = False
    session_hours: Annotated[float, _setting("how long a session lasts", gt=0, le=24 * 365)] = 12.0
    cookie_secure: Annotated[bool, _setting("send the session cookie over HTTPS only")] = True
    cookie_same_site: Annotated[
        str,
        _setting("SameSite of the session cookie; none only for pages on another site, over HTTPS",
               choices="strict|lax|none"),
    ] = "lax"  # fmt: skip
    jwt_secret: Annotated[
        str,
        _setting("secret of HS256 tokens, 32 characters or more; empty: none are taken",
               pattern=r"^$|^.{32,}$"),
    ] = ""  # fmt: skip
    jwt_jwks: Annotated[
        str, _setting("file or URL of the keys (JWKS) of RS256 and ES256 tokens; empty: none")
    ] = ""
    jwt_jwks_seconds: Annotated[
        float, _setting("how long keys of a URL are used before it is asked again", ge=1)
    ] = 300.0
    jwt_issuer: Annotated[str, _setting("iss that a token must have; empty: any")] = ""
    jwt_audience: Annotated[
        tuple[str, ...],
        _setting("aud that a token must have, one of these; empty: only tokens without one"),
    ] = ()
    jwt_leeway: Annotated[
        float, _setting("seconds that clocks may differ by: of a token's exp and nbf", ge=0, le=300)
    ] = 0.0
    jwt_roles_claim: Annotated[
        str, _setting("claim that lists a user's roles; dots reach into objects", min_length=1)
    ] = "roles"
    token_in_query: Annotated[
        bool, _setting("take a token from ?token= of a stream; URLs end up in logs of proxies")
    ] = False
    ticket_seconds: Annotated[
        int, _setting("how long a ticket for a stream is good", ge=1, le=30)
    ] = 30
    user_header_from: Annotated[
        tuple[str, ...],
        _setting("networks of gateways whose X-User-ID is believed, comma-separated; empty: off"),
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        _setting("networks of proxies whose X-Forwarded-For is believed, comma-separated"),
    ] = ()
    origins: Annotated[
        tuple[str, ...],
        _setting("web origins that may read streams from elsewhere, comma-separated; * without "
               "credentials only"),
    ] = ()  # fmt: skip
    request_seconds: Annotated[
        float, _setting("how long a client may take to send a request whole", gt=0)
    ] = 20.0
    drain_seconds: Annotated[
        float,
        _setting(
            "seconds over which a stopping edge sends its streams away; each is told half of it "
            "before it is closed, 5 s at most",
            ge=0,
        ),
    ] = 3.0

    max_connections: Annotated[
        int, _setting("streams on one process; beyond, 503", "SSE_MAX_CONNECTIONS", ge=1)
    ] = 10_000
    connect_rate: Annotated[
        int,
        _setting(
            "new streams a minute from one address, on all edge processes together; beyond, 429 "
            "(5 is strict)",
            "SSE_CONNECT_RATE",
            ge=1,
        ),
    ] = 60
    keepalive_interval: Annotated[
        float,
        _setting("seconds without a frame before an idle frame", "SSE_KEEPALIVE_INTERVAL", ge=0.05),
    ] = 30.0
    flush_ms: Annotated[
        float, _setting("flush window in milliseconds", "SSE_FLUSH_MS", ge=1, le=1000)
    ] = 20.0
    busy_flush_ms: Annotated[
        float,
        _setting("flush window, in milliseconds, of a stream of prices that change more than 1,000 "
               "times a second; less than SSE_FLUSH_MS is none", "SSE_BUSY_FLUSH_MS", ge=0, le=1000)
    ] = 100.0  # fmt: skip
    gzip: Annotated[bool, _setting("compress streams for readers that accept gzip", "SSE_GZIP")] = (
        True
    )
    retry_ms: Annotated[
        int, _setting("retry: that clients are told, milliseconds", "SSE_RETRY_MS", ge=100)
    ] = 5000
    outbox_events: Annotated[
        int, _setting("frames a live connection may hold unsent", "SSE_OUTBOX_EVENTS", ge=1)
    ] = 256
    outbox_bytes: Annotated[
        int, _setting("bytes a live connection may hold unsent", "SSE_OUTBOX_BYTES", ge=1024)
    ] = 256 * 1024
    write_seconds: Annotated[
        float, _setting("how long one write may take before the reader is closed as slow",
                      "SSE_WRITE_SECONDS", gt=0)
    ] = 10.0  # fmt: skip
    quiet_seconds: Annotated[
        float,
        _setting("how long a stream may be open without one successful write", "SSE_QUIET_SECONDS",
               gt=0),
    ] = 300.0  # fmt: skip
    max_user_connections: Annotated[
        int,
        _setting("streams a user may have open on all edge processes together; one more closes the "
               "oldest", "SSE_MAX_CONNECTIONS_PER_USER", ge=1),
    ] = 10  # fmt: skip
    replay_limit: Annotated[
        int, _setting("events replayed at the most; beyond, a reset", "SSE_REPLAY_LIMIT", ge=1)
    ] = 100_000
    replays_at_once: Annotated[
        int, _setting("replays and snapshots read from the log at once", "SSE_REPLAYS", ge=1)
    ] = 16

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings from the environment, with defaults for the rest.

        Raises:
            BadSetting: a variable has a bad value.
        """
        environ = os.environ if environ is None else environ
        values = {
            setting.name: _parse(setting, environ[setting.env])
            for setting in describe()
            if setting.env in environ
        }
        return cls(**values)

    def values(self) -> dict[str, Any]:
        """The current values by environment variable."""
        return {setting.env: getattr(self, setting.name) for setting in describe()}


class Setting(msgspec.Struct, frozen=True):
    """One setting: its field, environment variable, description and default."""

    name: str
    env: str
    meaning: str
    default: Any
    type: Any

    def mask(self, value: Any) -> Any:
        """`value` without secrets. Only free text can be a secret by the name of its variable."""
        free = isinstance(self.default, str | tuple) and not _meta(self.type).extra["choices"]
        return mask(value, self.env if free else "")


def _meta(annotation: Any) -> Any:
    return next(each for each in annotation.__metadata__ if isinstance(each, Meta))


def describe() -> Iterator[Setting]:
    """Every setting, in the order of `Settings`."""
    hints = get_type_hints(Settings, include_extras=True)
    for field in msgspec.structs.fields(Settings):
        of = hints[field.name]
        env = _meta(of).extra["env"] or _PREFIX + field.name.upper()
        yield Setting(field.name, env, _meta(of).description, field.default, of)


def _parse(setting: Setting, text: str) -> Any:
    given: Any = text
    if isinstance(setting.default, tuple):
        given = [part.strip() for part in text.split(",") if part.strip()]
    elif isinstance(setting.default, bool):
        given = {"on": True, "yes": True, "off": False, "no": False}.get(text.lower(), text)
    try:
        return msgspec.convert(given, setting.type, strict=False)
    except msgspec.ValidationError as error:
        shown = repr(setting.mask(text))
        raise BadSetting(f"{setting.env}={shown}: {error}; it is: {setting.meaning}") from None
