"""Authentication: sessions, JWTs, tickets and trusted gateways, and CORS.

`Authenticator` decides who a request is from. `build_authenticator` builds one from the settings.
"""

from tapewire_services.edge.auth.authenticator import Authentication, Authenticator, Credentials
from tapewire_services.edge.auth.cookies import (
    SESSION_COOKIE,
    format_session_cookie,
    read_session_token,
)
from tapewire_services.edge.auth.jwks import VerificationKeysUnavailable
from tapewire_services.edge.auth.origins import (
    API_PREFLIGHT_HEADERS,
    STREAM_PREFLIGHT_HEADERS,
    cors_headers,
)
from tapewire_services.edge.auth.sessions import ADMIN_ROLE, Session, SessionStore
from tapewire_services.edge.auth.tickets import TicketStore
from tapewire_services.edge.auth.tokens import MAX_USER_ID_CHARACTERS, USER_ID_PATTERN
from tapewire_services.edge.auth.wiring import build_authenticator, parse_networks_setting

__all__ = [
    "ADMIN_ROLE",
    "API_PREFLIGHT_HEADERS",
    "MAX_USER_ID_CHARACTERS",
    "SESSION_COOKIE",
    "STREAM_PREFLIGHT_HEADERS",
    "USER_ID_PATTERN",
    "Authentication",
    "Authenticator",
    "Credentials",
    "Session",
    "SessionStore",
    "TicketStore",
    "VerificationKeysUnavailable",
    "build_authenticator",
    "cors_headers",
    "format_session_cookie",
    "parse_networks_setting",
    "read_session_token",
]
