"""Authentication: sessions, JWTs, tickets and trusted gateways, and CORS.

`Authenticator` decides who a request is from. `build_authenticator` builds one from the settings.
"""

from tapewire_services.edge.auth.authenticator import (
    AUTHORITY_STATE,
    CROSS_ORIGIN_STATE,
    Authentication,
    Authenticator,
    Credentials,
)
from tapewire_services.edge.auth.authority import (
    InvalidHost,
    RequestAuthority,
    cross_origin_header,
)
from tapewire_services.edge.auth.cookies import (
    SECURE_SESSION_COOKIE,
    SESSION_COOKIE,
    AmbiguousSessionCookie,
    format_session_cookie,
    read_session_token,
)
from tapewire_services.edge.auth.expected_user import (
    USER_HEADER,
    AccountChanged,
    check_expected_user,
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
    "AUTHORITY_STATE",
    "CROSS_ORIGIN_STATE",
    "MAX_USER_ID_CHARACTERS",
    "SECURE_SESSION_COOKIE",
    "SESSION_COOKIE",
    "STREAM_PREFLIGHT_HEADERS",
    "USER_HEADER",
    "USER_ID_PATTERN",
    "AccountChanged",
    "AmbiguousSessionCookie",
    "Authentication",
    "Authenticator",
    "Credentials",
    "InvalidHost",
    "RequestAuthority",
    "Session",
    "SessionStore",
    "TicketStore",
    "VerificationKeysUnavailable",
    "build_authenticator",
    "check_expected_user",
    "cors_headers",
    "cross_origin_header",
    "format_session_cookie",
    "parse_networks_setting",
    "read_session_token",
]
