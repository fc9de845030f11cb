"""The cookie ``session``: read from what a browser sends, and written for it."""

from datetime import datetime
from http.cookies import CookieError, SimpleCookie

from services.edge.access.sessions import Session
from tapewire.runtime import Settings

COOKIE = "session"


def cookie_token(header: str | None) -> str | None:
    """The session token in a ``Cookie`` header."""
    if not header:
        return None
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel is not None and morsel.value else None


def set_cookie(token: str, session: Session, settings: Settings, now: datetime) -> str:
    """The value of the ``Set-Cookie`` that gives `token` for as long as `session` lasts."""
    cookie: SimpleCookie = SimpleCookie({COOKIE: token})
    morsel = cookie[COOKIE]
    morsel["path"] = "/"
    morsel["max-age"] = str(max(int((session.expires_at - now).total_seconds()), 1))
    morsel["httponly"] = True
    morsel["samesite"] = settings.cookie_same_site
    if settings.cookie_secure:
        morsel["secure"] = True
    return morsel.OutputString()
