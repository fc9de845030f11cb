"""Reads and formats the cookie ``session``."""

from datetime import datetime
from http.cookies import CookieError, SimpleCookie

from tapewire.runtime import Settings
from tapewire_services.edge.auth.sessions import Session

SESSION_COOKIE = "session"


def read_session_token(cookie_header: str | None) -> str | None:
    """The session token in a ``Cookie`` header, or None."""
    if not cookie_header:
        return None
    try:
        morsel = SimpleCookie(cookie_header).get(SESSION_COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel is not None and morsel.value else None


def format_session_cookie(token: str, session: Session, settings: Settings, now: datetime) -> str:
    """The ``Set-Cookie`` value for `token`, which expires together with `session`."""
    cookie: SimpleCookie = SimpleCookie({SESSION_COOKIE: token})
    morsel = cookie[SESSION_COOKIE]
    morsel["path"] = "/"
    morsel["max-age"] = str(max(int((session.expires_at - now).total_seconds()), 1))
    morsel["httponly"] = True
    morsel["samesite"] = settings.cookie_same_site
    if settings.cookie_secure:
        morsel["secure"] = True
    return morsel.OutputString()
