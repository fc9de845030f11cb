"""Who is asking: sessions, JWTs, tickets and gateways, and which pages may read from elsewhere.

Start at `Entrance`, which decides who a request is from; `open_entrance` makes it as the settings
say.
"""

from services.edge.access.cookies import SESSION_COOKIE, format_session_cookie, read_session_token
from services.edge.access.entrance import Authentication, Authenticator, Credentials
from services.edge.access.keys import VerificationKeysUnavailable
from services.edge.access.opening import build_authenticator, parse_networks_setting
from services.edge.access.origins import (
    API_PREFLIGHT_HEADERS,
    STREAM_PREFLIGHT_HEADERS,
    cors_headers,
)
from services.edge.access.sessions import ADMIN_ROLE, Session, SessionStore
from services.edge.access.tickets import TicketStore
from services.edge.access.tokens import MAX_USER_ID_CHARACTERS, USER_ID_PATTERN

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
