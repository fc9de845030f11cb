"""The headers by which requests sign in, asked for again when they end or are refused."""

import asyncio
import inspect
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import quote

from tapewire.sse.protocol.token_expiry import read_expiry, renewal_delay
from tapewire.values import InvalidArgument

TokenSource = str | Callable[[], str | Awaitable[str]]
"""A token, or a function that returns the present one."""
HeaderSource = Mapping[str, str] | Callable[[], Mapping[str, str] | Awaitable[Mapping[str, str]]]
"""Headers, or a function that returns the present ones."""

USER_HEADER = "X-Tapewire-User"


class StreamCredentials:
    """The headers of all requests of one stream.

    A function is called before the first request, after a 401, and before a token ends that says
    when it does (a JWT).
    """

    def __init__(
        self, token: TokenSource | None, headers: HeaderSource | None, user: str | None
    ) -> None:
        self._token = token
        self._headers = headers
        self._user_headers = {} if user is None else {USER_HEADER: quote(user, safe="")}
        self._current: dict[str, str] | None = None
        self._is_unused = False
        self._expiry = -math.inf
        self.renew_at = math.inf
        """The time of the loop at which the token is to be renewed."""
        self._asking = asyncio.Lock()

    @property
    def is_renewable(self) -> bool:
        """Whether asking again may help."""
        return callable(self._token) or callable(self._headers)

    async def prepare(self) -> None:
        """Ask for the headers if that is due; it may take as long as the functions do.

        Raises:
            InvalidArgument: A function returned something else.
            Exception: What a function raises.
        """
        await self._get()

    async def get_headers(self) -> tuple[dict[str, str], bool]:
        """Return the headers, and whether no request has had them yet. Raises as `prepare`."""
        headers = await self._get()
        is_unused, self._is_unused = self._is_unused, False
        return headers, is_unused

    async def _get(self) -> dict[str, str]:
        async with self._asking:
            if self._current is None or self._is_renewal_due():
                self._current = await self._ask()
                self._is_unused = True
            return self._current

    def invalidate(self) -> None:
        """Ask again before the next request, if that may help."""
        if self.is_renewable:
            self._current = None

    def _is_renewal_due(self) -> bool:
        return self.is_renewable and asyncio.get_running_loop().time() >= self.renew_at

    async def _ask(self) -> dict[str, str]:
        headers = dict(self._user_headers)
        given = await _resolve(self._headers)
        if given is not None:
            if not isinstance(given, Mapping):
                raise InvalidArgument("headers", type(given).__name__, "must be a mapping of texts")
            headers.update(given)
        token = await _resolve(self._token)
        if token is not None:
            if not isinstance(token, str):
                raise InvalidArgument("token", type(token).__name__, "must be a text")
            headers["Authorization"] = f"Bearer {token}"
            self._note_expiry(token)
        return headers

    def _note_expiry(self, token: str) -> None:
        expiry = read_expiry(token)
        # A token that does not last longer than the one before would be asked for all the time.
        is_longer = expiry > self._expiry and callable(self._token)
        self._expiry = expiry
        self.renew_at = math.inf
        if is_longer and expiry < math.inf:
            now = asyncio.get_running_loop().time()
            self.renew_at = now + renewal_delay(expiry, time.time())


async def _resolve(source: object) -> object:
    found = source() if callable(source) else source
    return await found if inspect.isawaitable(found) else found
