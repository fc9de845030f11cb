"""The session of a client of the edge: a given cookie, or one from the development sign-in."""

import httpx

from tapewire.cli.errors import CliError

COOKIE_NAME = "session"
EXIT_REFUSED = 1
SIGN_IN_TIMEOUT_SECONDS = 10.0


class EdgeSession:
    """The session of `client`: of `user`, or the one of `cookie`; with neither, anonymous."""

    def __init__(self, client: httpx.Client, user: str | None, cookie: str | None) -> None:
        self._client = client
        self._user = user
        self._cookie = (cookie or "").removeprefix(f"{COOKIE_NAME}=")
        if self._cookie:
            client.cookies.set(COOKIE_NAME, self._cookie)

    @property
    def is_renewable(self) -> bool:
        """Whether `sign_in` gets a new session."""
        return self._user is not None

    def sign_in(self) -> None:
        """Sign in, if there is a user to sign in as.

        Raises:
            CliError: The sign-in is off, or rejects the user id.
            httpx.HTTPError: The edge cannot be reached, or cannot sign users in now.
        """
        if self._user is None:
            return
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
                f"cannot sign in as {self._user!r}: {describe_error_response(response)}",
                EXIT_REFUSED,
            )
        response.raise_for_status()

    def build_unauthorized_error(self, path: str, response: httpx.Response) -> CliError:
        """Return the error for `response`, a 401, when a new session would not help."""
        if self._user is not None:
            detail = describe_error_response(response)
            reason = f"a fresh session of {self._user!r} is refused ({detail})"
        elif self._cookie:
            reason = "the session given is not valid, or not any more"
        else:
            reason = f"{path} needs a session"
        return CliError(
            f"{reason}; sign in with --user NAME (development sign-in), or give --session COOKIE",
            EXIT_REFUSED,
        )


def describe_error_response(response: httpx.Response) -> str:
    """Return the status and the message of an error response."""
    try:
        message = response.json()["message"]
    except (ValueError, KeyError, TypeError):
        message = response.reason_phrase
    return f"{response.status_code} {message}"
