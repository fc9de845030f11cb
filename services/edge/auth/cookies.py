"""The session cookie: which one of a request counts, and the ``Set-Cookie`` of a response.

Over HTTPS the edge sets ``__Host-session``. Browsers store a cookie of that prefix only when this
very host set it over HTTPS, therefore no sibling domain can. Over plain HTTP, where browsers refuse
the prefix, the cookie is ``session``, which a sibling domain can set too.
"""

from collections.abc import Iterator
from datetime import datetime

from tapewire.runtime import Settings
from tapewire_services.edge.auth.sessions import Session

SESSION_COOKIE = "session"
SECURE_SESSION_COOKIE = "__Host-session"


class AmbiguousSessionCookie(Exception):
    """A request has several session cookies of one name with different values: at least one of
    them was set by another site."""

    def __init__(self, name: str) -> None:
        super().__init__(f"several cookies named {name} with different values")
        self.name = name


def parse_cookies(cookie_header: str) -> Iterator[tuple[str, str]]:
    """Each cookie of a ``Cookie`` header, by name and value.

    Browsers separate cookies by semicolons, which no value contains (RFC 6265, 5.4), and send
    whatever else other applications have stored: spaces, quotes, braces. A cookie is therefore read
    on its own, and an odd one affects no other.
    """
    for pair in cookie_header.split(";"):
        name, separator, value = pair.partition("=")
        if separator:
            yield name.strip(" \t"), value.strip(" \t")


def read_session_token(cookie_header: str | None) -> str | None:
    """The session token in a ``Cookie`` header, or None. ``__Host-session`` decides when the header
    has one, whatever ``session`` says.

    Raises:
        AmbiguousSessionCookie: the deciding name has several values.
    """
    cookies = [*parse_cookies(cookie_header or "")]
    for decisive in (SECURE_SESSION_COOKIE, SESSION_COOKIE):
        tokens = {_unquote(value) for name, value in cookies if name == decisive} - {""}
        if len(tokens) > 1:
            raise AmbiguousSessionCookie(decisive)
        if tokens:
            return tokens.pop()
    return None


def format_session_cookie(
    token: str, session: Session, settings: Settings, now: datetime, *, is_https: bool
) -> str:
    """The ``Set-Cookie`` value for `token`, which expires together with `session`. `is_https` says
    whether the browser's request came over HTTPS."""
    max_age = max(int((session.expires_at - now).total_seconds()), 1)
    name = SECURE_SESSION_COOKIE if is_https else SESSION_COOKIE
    # The prefix requires Secure and Path=/, and forbids Domain.
    secure = "; Secure" if is_https or settings.cookie_secure else ""
    attributes = f"HttpOnly; Max-Age={max_age}; Path=/; SameSite={settings.cookie_same_site}"
    return f"{name}={token}; {attributes}{secure}"


def _unquote(value: str) -> str:
    quoted = len(value) >= 2 and value[0] == value[-1] == '"'
    return value[1:-1] if quoted else value
