"""The entrance as the settings say: which keys, which networks, and what cannot be."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from services.edge.access.entrance import Entrance
from services.edge.access.keys import BadKeys, Keys, keys_of
from services.edge.access.sessions import Sessions
from services.edge.access.tickets import Tickets
from services.edge.access.tokens import Tokens
from services.edge.limits import Networks, networks
from tapewire.runtime import BadSetting, Settings


def open_entrance(
    settings: Settings,
    *,
    sessions: Sessions,
    tickets: Tickets,
    now: Callable[[], datetime],
    clock: Callable[[], float],
    on_stop: Callable[[Callable[[], Awaitable[Any]]], None],
) -> Entrance:
    """An entrance; what it holds is given to `on_stop`. `clock` is loop time.

    Raises:
        BadSetting: something that it is to stand on cannot be used.
    """
    if settings.cookie_same_site == "none" and not settings.cookie_secure:
        raise BadSetting(
            "TAPEWIRE_COOKIE_SAME_SITE='none': browsers drop such a cookie unless it is Secure; "
            "TAPEWIRE_COOKIE_SECURE is off"
        )
    return Entrance(
        sessions=sessions,
        tickets=tickets,
        tokens=_tokens(settings, now, clock, on_stop),
        gateways=listed_networks(settings.user_header_from, "TAPEWIRE_USER_HEADER_FROM"),
        settings=settings,
        now=now,
    )


def listed_networks(texts: Sequence[str], env: str) -> Networks:
    """The networks that the variable `env` lists. Raises BadSetting."""
    try:
        return networks(texts)
    except ValueError as error:
        raise BadSetting(f"{env}={','.join(texts)!r}: {error}; it lists networks") from None


def _tokens(
    settings: Settings,
    now: Callable[[], datetime],
    clock: Callable[[], float],
    on_stop: Callable[[Callable[[], Awaitable[Any]]], None],
) -> Tokens | None:
    """None where no kind of token is taken."""
    keys: Keys | None = None
    if settings.jwt_jwks:
        try:
            keys = keys_of(settings.jwt_jwks, settings.jwt_jwks_seconds, clock)
        except (BadKeys, OSError) as error:
            raise BadSetting(f"TAPEWIRE_JWT_JWKS={settings.jwt_jwks!r}: {error}") from None
        on_stop(keys.close)
    if keys is None and not settings.jwt_secret:
        return None
    return Tokens(
        secret=settings.jwt_secret,
        keys=keys,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        leeway=settings.jwt_leeway,
        roles_claim=settings.jwt_roles_claim,
        now=now,
    )
