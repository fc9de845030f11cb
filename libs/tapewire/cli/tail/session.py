"""The session of a client of the edge: a given cookie, or one from the development sign-in."""

from collections.abc import Callable, Mapping

import httpx

from tapewire.cli.errors import CliError
from tapewire.sse import SignedOut

COOKIE_NAME = "session"
EXIT_REFUSED = 1
SIGN_IN_TIMEOUT_SECONDS = 10.0


class EdgeSession:
    """The session of `user`, or the one of `cookie`; with neither, anonymous.

    `client` is for the sign-in, at the edge of its base URL.
    """

    def __init__(self, client: httpx.Client, user: str | None, cookie: str | None) -> None:
        self._client = client
        self._user = user
        self._cookie = (cookie or "").removeprefix(f"{COOKIE_NAME}=")

    @property
    def header_source(self) -> Mapping[str, str] | Callable[[], Mapping[str, str]]:
        """The headers of `tapewire.stream`: a user signs in again when the session has ended."""
        if self._user is not None:
            return self._sign_in
        return {"Cookie": f"{COOKIE_NAME}={self._cookie}"} if self._cookie else {}

    def _sign_in(self) -> dict[str, str]:
        """Sign in, and return the headers of the session.

        Raises:
            CliError: The sign-in is off, or rejects the user id.
            httpx.HTTPError: The edge cannot be reached, or cannot sign users in now.
        """
        self._client.cookies.clear()
        response = self._client.post(
            "/api/session", json={"userId": self._user}, timeout=SIGN_IN_TIMEOUT_SECONDS
        )
        if response.status_code in (403, 404):
            raise CliError(
                "the development sign-in is off there; give a session of your own: "
                "--session COOKIE or TAPEWIRE_SESSION",
                EXIT_REFUSED,
            )
        if 400 <= response.status_code < 500 and response.status_code != 429:
            raise CliError(
                f"cannot sign in as {self._user!r}: {_describe_error_response(response)}",
                EXIT_REFUSED,
            )
        response.raise_for_status()
        cookies = self._client.cookies.jar
        return {"Cookie": "; ".join(f"{one.name}={one.value}" for one in cookies)}

    def build_unauthorized_error(self, url: str, error: SignedOut) -> CliError:
        """Return the error when a new session would not help."""
        if self._user is not None:
            reason = f"a fresh session of {self._user!r} is refused ({error})"
        elif self._cookie:
            reason = "the session given is not valid, or not any more"
        else:
            reason = f"{url} needs a session"
        return CliError(
            f"{reason}; sign in with --user NAME (development sign-in), or give --session COOKIE",
            EXIT_REFUSED,
        )


def _describe_error_response(response: httpx.Response) -> str:
    """Return the status and the message of an error response."""
    try:
        message = response.json()["message"]
    except (ValueError, KeyError, TypeError):
        message = response.reason_phrase
    return f"{response.status_code} {message}"
