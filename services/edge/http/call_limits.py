"""Limits how often a caller may change something. Start reading at `CallLimits.check`."""

import hashlib
from collections.abc import Callable

import structlog

from tapewire.runtime import Settings
from tapewire_services.edge.auth import Credentials, Session, parse_networks_setting
from tapewire_services.edge.auth.addresses import caller_key
from tapewire_services.edge.cluster.limits import RetryAfter
from tapewire_services.edge.http.errors import HttpError

logger = structlog.get_logger("edge.http")


class CallLimits:
    """Counts calls by `count_call`, which takes a key of bounded length. DELETE is not counted: at
    any rate, a user can cancel orders and sign out."""

    def __init__(self, count_call: Callable[[str], RetryAfter | None], settings: Settings) -> None:
        self._count_call = count_call
        self._limit = settings.call_rate
        self._trusted_proxies = parse_networks_setting(
            settings.trusted_proxies, "TAPEWIRE_TRUSTED_PROXIES"
        )

    def check(self, credentials: Credentials, session: Session | None) -> None:
        """Count a call of the user, or of the address of a caller without a session.

        Raises:
            HttpError: 429, the user or the address makes too many.
        """
        if session is None:
            headers = credentials.headers
            address = caller_key(headers, credentials.peer_address, self._trusted_proxies)
            key, whose, caller = f"address {address}", {"address": address}, "one address"
        else:
            key, caller = _user_key(session.user_id), "one user"
            whose = {"user_id": session.user_id}
        rejection = self._count_call(key)
        if rejection is None:
            return
        if rejection.is_first:
            logger.warning("request.rate_limited", **whose)
        raise HttpError(
            429,
            f"More than {self._limit} calls of {caller} a minute that change something",
            headers={"Retry-After": str(rejection.seconds)},
        )


def _user_key(user_id: str) -> str:
    return hashlib.blake2b(user_id.encode(), digest_size=12).hexdigest()
