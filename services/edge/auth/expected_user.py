"""The user that a request is meant for: the one whom the page that sends it shows.

All tabs of a browser share one session cookie. When a user signs in in one tab, the calls of the
others become calls of that user, whomever they show. A page therefore names its user in
``X-Tapewire-User``, percent-encoded UTF-8 (as by ``encodeURIComponent``), because headers are ASCII
and user ids are not. Native EventSources cannot set headers and use ``?userId=``.
"""

from collections.abc import Mapping, Sequence
from urllib.parse import unquote_to_bytes

from tapewire_services.edge.auth.sessions import Session

USER_HEADER = "X-Tapewire-User"


class AccountChanged(Exception):
    """A request is meant for the user `expected`, but the session is of `session_user_id`. `path`
    is the header or query parameter that names the user."""

    def __init__(self, expected: str, session_user_id: str, path: str = USER_HEADER) -> None:
        super().__init__(
            f"This is meant for the user {expected!r}, but {session_user_id!r} is signed in"
        )
        self.expected = expected
        self.path = path


def check_expected_user(headers: Mapping[str, Sequence[str]], session: Session) -> None:
    """Check that `session` is of the user that a request names, if it names one. The names of
    `headers` are in lower case.

    Raises:
        AccountChanged: it is not, or the request names several.
    """
    for value in headers.get(USER_HEADER.lower(), ()):
        expected = unquote_to_bytes(value.encode("latin-1")).decode(errors="replace")
        if expected != session.user_id:
            raise AccountChanged(expected, session.user_id)
