"""Who is asking: a session cookie that was given, or one from the development sign-in."""

import httpx

from tapewire.cli.trouble import Trouble

COOKIE = "session"
EXIT_REFUSED = 1
SECONDS = 10.0
"""How long a sign-in may take."""


class Session:
    """The session of `client`: for `user`, or with `cookie`; with neither, nobody's."""

    def __init__(self, client: httpx.Client, user: str | None, cookie: str | None) -> None:
        self._client = client
        self._user = user
        self._cookie = (cookie or "").removeprefix(f"{COOKIE}=")
        if self._cookie:
            client.cookies.set(COOKIE, self._cookie)

    @property
    def renewable(self) -> bool:
        """Whether `begin` gets a new session."""
        return self._user is not None

    def begin(self) -> None:
        """Sign in, if it is known as whom.

        Raises:
            Trouble: the sign-in is off, or does not like the user id.
            httpx.HTTPError: the edge cannot be reached, or cannot sign anybody in just now.
        """
        if self._user is None:
            return
        self._client.cookies.clear()
        response = self._client.post("/api/session", json={"userId": self._user}, timeout=SECONDS)
        if response.status_code in (403, 404):
            raise Trouble(
                "the development sign-in is off there; give a session of your own: "
                "--session COOKIE or TAPEWIRE_SESSION",
                EXIT_REFUSED,
            )
        if 400 <= response.status_code < 500 and response.status_code != 429:
            raise Trouble(f"cannot sign in as {self._user!r}: {told(response)}", EXIT_REFUSED)
        response.raise_for_status()

    def refused(self, path: str, response: httpx.Response) -> Trouble:
        """What to say when `response` is a 401 and no new session can be had."""
        if self._user is not None:
            why = f"a fresh session of {self._user!r} is refused ({told(response)})"
        elif self._cookie:
            why = "the session given is not valid, or not any more"
        else:
            why = f"{path} needs a session"
        return Trouble(
            f"{why}; sign in with --user NAME (development sign-in), or give --session COOKIE",
            EXIT_REFUSED,
        )


def told(response: httpx.Response) -> str:
    """What an error response says of itself."""
    try:
        message = response.json()["message"]
    except (ValueError, KeyError, TypeError):
        message = response.reason_phrase
    return f"{response.status_code} {message}"
