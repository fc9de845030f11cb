"""Settings: environment variables with defaults, which `tapewire settings` prints.

`Settings.from_env` reads them all at once and rejects bad values, naming the variable and the
value. Nothing else in Tapewire reads the environment, except brokers of other packages, which have
settings of their own. Start at `Settings`.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from tapewire.log.freshness import DEFAULT_STALE_SECONDS
from tapewire.log.jetstream.credentials import NatsCredentials
from tapewire.runtime.broker_settings import BrokerSettings
from tapewire.runtime.logging_setup import remember_secret
from tapewire.runtime.setting_fields import (
    BadSetting,
    Setting,
    describe_fields,
    parse,
    remember_secrets,
)
from tapewire.runtime.setting_fields import setting as _setting

__all__ = ["BadSetting", "Setting", "Settings", "describe"]


class Settings(BrokerSettings, frozen=True, kw_only=True):
    """All settings of all services. Each service reads those that concern it."""

    nats_url: Annotated[str, _setting("NATS servers, comma-separated")] = "nats://127.0.0.1:4222"
    nats_user: Annotated[str, _setting("user of NATS, with TAPEWIRE_NATS_PASSWORD_FILE")] = ""
    nats_password_file: Annotated[
        str, _setting("file with the password of TAPEWIRE_NATS_USER; read again when it changes, "
                      "as are the other files")
    ] = ""  # fmt: skip
    nats_token_file: Annotated[str, _setting("file with a token for NATS")] = ""
    nats_nkey: Annotated[str, _setting("file with the seed of an nkey for NATS")] = ""
    nats_creds: Annotated[str, _setting("file with a JWT and its seed for NATS (.creds)")] = ""
    nats_ca: Annotated[
        str, _setting("file with the certificates that NATS's must come from; requires TLS")
    ] = ""
    nats_cert: Annotated[str, _setting("file with a client certificate for NATS")] = ""
    nats_key: Annotated[str, _setting("file with the key of TAPEWIRE_NATS_CERT")] = ""
    nats_wait: Annotated[
        float, _setting("seconds to wait for NATS and its streams at the start", gt=0)
    ] = 30.0
    journal_bytes: Annotated[
        int,
        _setting("limit of the journal in bytes, which `tapewire provision` sets; the server's "
               "store needs a quarter more, and 0.4 GB", ge=1 << 20),
    ] = 4 << 30  # fmt: skip
    replicas: Annotated[int, _setting("replicas of every stream (3 in a cluster)", ge=1, le=5)] = 1

    log_format: Annotated[str, _setting("log lines: console or json", choices="console|json")] = (
        "json"
    )
    log_level: Annotated[
        str, _setting("lowest level that is logged", choices="debug|info|warning|error")
    ] = "info"
    otlp_endpoint: Annotated[
        str,
        _setting("OpenTelemetry collector (OTLP over HTTP); empty: no tracing, at no cost",
               "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ] = ""  # fmt: skip
    health_port: Annotated[
        int,
        _setting("port of /health for a service without an HTTP server; 0: none", ge=0, le=65535),
    ] = 0
    health_host: Annotated[str, _setting("address that /health listens on")] = "127.0.0.1"
    instance: Annotated[str, _setting("name of this process in leases; empty: host and pid")] = ""
    ready_fd: Annotated[
        int,
        _setting(
            "file descriptor to write a line to when ready or held (set by `up`); -1: none", ge=-1
        ),
    ] = -1
    agent_heartbeat: Annotated[
        float,
        _setting("seconds between heartbeats of a service; 0: no status reports", ge=0, le=3600),
    ] = 15.0
    agent_silence: Annotated[
        float,
        _setting("seconds without a heartbeat after which a service is reported as stopped; at "
               "least twice the heartbeat, and the same for all services", ge=0.1, le=36000),
    ] = 45.0  # fmt: skip

    event_packages: Annotated[
        tuple[str, ...],
        _setting("modules that declare event types of other packages, comma-separated; installed "
               "packages are found through their entry points"),
    ] = ()  # fmt: skip

    feed_source: Annotated[str, _setting("installed feed of quotes; empty: TAPEWIRE_FEED")] = ""
    feed: Annotated[str, _setting("recorded market data to replay; empty: a random walk")] = ""
    feed_speed: Annotated[
        float,
        _setting("speed of the feed, as a multiple of real time", "TAPEWIRE_SPEED", gt=0, le=1e6),
    ] = 1.0
    feed_end: Annotated[
        str, _setting("after the recording's last row: loop or stop", choices="loop|stop")
    ] = "loop"
    feed_seed: Annotated[int, _setting("seed of the random walk", ge=0)] = 1
    feed_symbols: Annotated[
        tuple[str, ...],
        _setting("symbols of the feed by their exact names, comma-separated; empty: all"),
    ] = ()
    stale_seconds: Annotated[
        float, _setting("seconds without a quote after which a symbol is stale", ge=0.3, le=3600)
    ] = DEFAULT_STALE_SECONDS
    max_clock_ahead: Annotated[
        float, _setting("seconds that a time from outside may be ahead of the clock", ge=0, le=3600)
    ] = 5.0

    host: Annotated[str, _setting("address that the edge listens on")] = "127.0.0.1"
    port: Annotated[int, _setting("port of the edge; 0: any free port", ge=0, le=65535)] = 8000
    listen_fd: Annotated[
        int, _setting("inherited listening socket of the edge (set by `up`); -1: none", ge=-1)
    ] = -1
    sign_in: Annotated[
        bool,
        _setting(
            "development sign-in: POST /api/session accepts any user id, on names of this "
            "machine only"
        ),
    ] = False
    session_hours: Annotated[float, _setting("hours that a session lasts", gt=0, le=24 * 365)] = (
        12.0
    )
    cookie_secure: Annotated[bool, _setting("send the session cookie over HTTPS only")] = True
    cookie_same_site: Annotated[
        str,
        _setting("SameSite of the session cookie; none only for pages on another site, over HTTPS",
               choices="strict|lax|none"),
    ] = "lax"  # fmt: skip
    jwt_secret: Annotated[
        str,
        _setting("secret of HS256 tokens, 32 characters or more; empty: none are accepted",
               pattern=r"^$|^.{32,}$"),
    ] = ""  # fmt: skip
    jwt_jwks: Annotated[
        str, _setting("file or URL of the keys (JWKS) of RS256 and ES256 tokens; empty: none")
    ] = ""
    jwt_jwks_seconds: Annotated[
        float, _setting("seconds after which keys from a URL are fetched again", ge=1)
    ] = 300.0
    jwt_issuer: Annotated[str, _setting("required iss of a token; empty: any")] = ""
    jwt_audience: Annotated[
        tuple[str, ...],
        _setting("accepted aud of a token, comma-separated; empty: only tokens without aud"),
    ] = ()
    jwt_leeway: Annotated[
        float,
        _setting("allowed clock difference for exp and nbf of a token, in seconds", ge=0, le=300),
    ] = 0.0
    jwt_roles_claim: Annotated[
        str, _setting("claim with a user's roles; dots separate nested names", min_length=1)
    ] = "roles"
    token_in_query: Annotated[bool, _setting("accept ?token= on streams; proxies may log URLs")] = (
        False
    )
    ticket_seconds: Annotated[
        int, _setting("seconds for which a stream ticket is valid", ge=1, le=30)
    ] = 30
    user_header_from: Annotated[
        tuple[str, ...],
        _setting("networks of gateways whose X-User-ID is trusted, comma-separated; empty: off"),
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        _setting(
            "networks of proxies whose X-Forwarded-For, -Host and -Proto are trusted, "
            "comma-separated; empty: none"
        ),
    ] = ()
    origins: Annotated[
        tuple[str, ...],
        _setting("other web origins whose pages may read streams and call the API for the user, "
               "comma-separated; * lets any read, without credentials"),
    ] = ()  # fmt: skip
    max_open_orders: Annotated[
        int, _setting("open orders of a user, besides market orders; one more is rejected", ge=1)
    ] = 5000
    call_rate: Annotated[
        int,
        _setting(
            "calls a minute by which one user may change something, on all edge processes; more "
            "get 429",
            ge=1,
        ),
    ] = 600
    request_seconds: Annotated[
        float, _setting("seconds that a client may take to send a whole request", gt=0)
    ] = 20.0
    drain_seconds: Annotated[
        float,
        _setting(
            "seconds over which a stopping edge closes its streams; each is warned half of that "
            "before, at most 5 s",
            ge=0,
        ),
    ] = 3.0

    max_connections: Annotated[
        int, _setting("streams of one process; more get 503", "SSE_MAX_CONNECTIONS", ge=1)
    ] = 10_000
    connect_rate: Annotated[
        int,
        _setting(
            "new streams a minute from one address on all edge processes; more get 429 "
            "(5 is strict)",
            "SSE_CONNECT_RATE",
            ge=1,
        ),
    ] = 60
    keepalive_interval: Annotated[
        float,
        _setting(
            "seconds without a frame before a keep-alive frame", "SSE_KEEPALIVE_INTERVAL", ge=0.05
        ),
    ] = 30.0
    flush_ms: Annotated[
        float, _setting("flush window in milliseconds", "SSE_FLUSH_MS", ge=1, le=1000)
    ] = 20.0
    busy_flush_ms: Annotated[
        float,
        _setting("flush window in milliseconds for prices that change more than 1,000 times a "
               "second; no effect below SSE_FLUSH_MS", "SSE_BUSY_FLUSH_MS", ge=0, le=1000)
    ] = 100.0  # fmt: skip
    gzip: Annotated[bool, _setting("compress streams for readers that accept gzip", "SSE_GZIP")] = (
        True
    )
    retry_ms: Annotated[
        int, _setting("retry: sent to clients, in milliseconds", "SSE_RETRY_MS", ge=100)
    ] = 5000
    outbox_events: Annotated[
        int, _setting("unsent frames of a live connection", "SSE_OUTBOX_EVENTS", ge=1)
    ] = 256
    outbox_bytes: Annotated[
        int, _setting("unsent bytes of a live connection", "SSE_OUTBOX_BYTES", ge=1024)
    ] = 256 * 1024
    write_seconds: Annotated[
        float, _setting("seconds for one write before the connection is closed as slow",
                      "SSE_WRITE_SECONDS", gt=0)
    ] = 10.0  # fmt: skip
    quiet_seconds: Annotated[
        float, _setting("seconds without a successful write before a stream is closed",
                      "SSE_QUIET_SECONDS", gt=0)
    ] = 300.0  # fmt: skip
    max_user_connections: Annotated[
        int,
        _setting("open streams of a user on all edge processes; one more closes the "
               "oldest", "SSE_MAX_CONNECTIONS_PER_USER", ge=1),
    ] = 10  # fmt: skip
    replay_limit: Annotated[
        int, _setting("events of one replay; more cause a reset", "SSE_REPLAY_LIMIT", ge=1)
    ] = 100_000
    replays_at_once: Annotated[
        int, _setting("concurrent replays and snapshots", "SSE_REPLAYS", ge=1)
    ] = 16

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings from the environment, with defaults for the rest.

        Raises:
            BadSetting: a variable has a bad value.
        """
        environ = os.environ if environ is None else environ
        remember_secrets(environ)
        values = {
            setting.name: parse(setting, environ[setting.env])
            for setting in describe()
            if setting.env in environ
        }
        return cls(**values)

    def nats_credentials(self) -> NatsCredentials:
        """The files that connections to NATS authenticate with."""
        credentials = NatsCredentials(
            user=self.nats_user,
            password_file=self.nats_password_file,
            token_file=self.nats_token_file,
            nkey=self.nats_nkey,
            creds=self.nats_creds,
            ca=self.nats_ca,
            cert=self.nats_cert,
            key=self.nats_key,
        )
        remember_secret(*credentials.secrets())
        return credentials

    def values(self) -> dict[str, Any]:
        """The current values by environment variable."""
        return {setting.env: getattr(self, setting.name) for setting in describe()}


def describe() -> Iterator[Setting]:
    """Every setting, in the order of `Settings`."""
    return describe_fields(Settings)
