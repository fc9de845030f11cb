"""Builds the `Authenticator` from the settings, and rejects settings that cannot work."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from tapewire.runtime import BadSetting, Settings
from tapewire_services.edge.auth.addresses import Networks, parse_networks
from tapewire_services.edge.auth.authenticator import Authenticator
from tapewire_services.edge.auth.jwks import InvalidJwks, KeySource, open_key_source
from tapewire_services.edge.auth.sessions import SessionStore
from tapewire_services.edge.auth.tickets import TicketStore
from tapewire_services.edge.auth.tokens import JwtVerifier


def build_authenticator(
    settings: Settings,
    *,
    session_store: SessionStore,
    ticket_store: TicketStore,
    now: Callable[[], datetime],
    clock: Callable[[], float],
    on_stop: Callable[[Callable[[], Awaitable[Any]]], None],
) -> Authenticator:
    """The authenticator. `on_stop` registers what must be closed; `clock` is a monotonic time in
    seconds.

    Raises:
        BadSetting: a setting is invalid, or names keys that cannot be read.
    """
    if settings.cookie_same_site == "none" and not settings.cookie_secure:
        raise BadSetting(
            "TAPEWIRE_COOKIE_SAME_SITE='none': browsers drop such a cookie unless it is Secure; "
            "TAPEWIRE_COOKIE_SECURE is off"
        )
    return Authenticator(
        session_store=session_store,
        ticket_store=ticket_store,
        jwt_verifier=_build_jwt_verifier(settings, now, clock, on_stop),
        trusted_gateways=parse_networks_setting(
            settings.user_header_from, "TAPEWIRE_USER_HEADER_FROM"
        ),
        settings=settings,
        now=now,
    )


def parse_networks_setting(texts: Sequence[str], setting_name: str) -> Networks:
    """The networks that the setting `setting_name` lists. Raises BadSetting."""
    try:
        return parse_networks(texts)
    except ValueError as error:
        raise BadSetting(
            f"{setting_name}={','.join(texts)!r}: {error}; it lists networks"
        ) from None


def _build_jwt_verifier(
    settings: Settings,
    now: Callable[[], datetime],
    clock: Callable[[], float],
    on_stop: Callable[[Callable[[], Awaitable[Any]]], None],
) -> JwtVerifier | None:
    """The verifier, or None when no kind of token is accepted."""
    keys: KeySource | None = None
    if settings.jwt_jwks:
        try:
            keys = open_key_source(settings.jwt_jwks, settings.jwt_jwks_seconds, clock)
        except (InvalidJwks, OSError) as error:
            raise BadSetting(f"TAPEWIRE_JWT_JWKS={settings.jwt_jwks!r}: {error}") from None
        on_stop(keys.close)
    if keys is None and not settings.jwt_secret:
        return None
    return JwtVerifier(
        secret=settings.jwt_secret,
        key_source=keys,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        leeway_seconds=settings.jwt_leeway,
        roles_claim=settings.jwt_roles_claim,
        now=now,
    )
