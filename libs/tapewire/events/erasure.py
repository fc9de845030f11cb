"""The erasure of a user: from here on, services hold nothing of the user's earlier events.

An event consumer follows the events of one domain. The event is therefore appended in each of
`ERASURE_DOMAINS`. It stays in the journal and does not name the user: `UserErased.concerns` tells
whom it is about. No stream shows it.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

from tapewire.events.catalogue import Event, event
from tapewire.events.fields import UTC_TIME, about

ERASURE_DOMAINS = ("orders", "trades", "strategies", "rules", "alerts", "reports")
"""The domains whose events services follow with a checkpoint."""


@event("user.erased", subject="ev._all.{domain}.{erasureId}")
class UserErased(Event, frozen=True, kw_only=True):
    """All earlier events of one user count as removed, and are being removed."""

    erasure_id: Annotated[str, about("the id of the erasure, which its receipt states")]
    salt: Annotated[str, about("random text that the digest begins with")]
    digest: Annotated[str, about("the SHA-256 of the salt and the user's id, in hexadecimal")]
    timestamp: Annotated[datetime, about("when the erasure began", UTC_TIME)]

    def concerns(self, user: str) -> bool:
        """Whether `user` is the user who was erased."""
        return digest_user(self.salt, user) == self.digest

    def find_users(self, users: Iterable[str]) -> set[str]:
        """Those of `users`, which may repeat, whom `concerns` is true of."""
        return {user for user in set(users) if self.concerns(user)}


def digest_user(salt: str, user: str) -> str:
    """The digest by which an erasure with `salt` means `user`."""
    return hashlib.sha256(f"{salt}{user}".encode()).hexdigest()
