"""What an erasure means for verification: the user's earlier events count as removed.

They may still be there, because they are removed one by one. `ErasedUsers` tells which events
count. `RecordedRemovals` says how many events may be missing.
"""

from collections.abc import Iterable

import msgspec

from tapewire.events import UserErased
from tapewire.log import RecordedEvent
from tapewire.log.erasures import erasure_of


class RecordedRemovals(msgspec.Struct, frozen=True, kw_only=True):
    """What is recorded beside the journal: `count` events between its first and its last one were
    removed on purpose, and those before `erased_first` only because their users were erased."""

    count: int = 0
    erased_first: int = 1


class ErasedUsers:
    """The users who were erased, and when, by the first event of each erasure. `last_sequence` is
    that of the last erasure, 0 for none."""

    def __init__(self, erasures: Iterable[RecordedEvent]) -> None:
        self._erasures: list[tuple[int, UserErased]] = []
        for recorded in erasures:
            erasure = erasure_of(recorded)
            if erasure is not None:
                self._erasures.append((recorded.sequence, erasure))
        self._erased_up_to: dict[str, int] = {}
        self.last_sequence = max((sequence for sequence, _ in self._erasures), default=0)

    def __len__(self) -> int:
        return len({erasure.erasure_id for _, erasure in self._erasures})

    def erased_up_to(self, user: str) -> int:
        """The sequence before which no event of `user` counts, 0 if the user was not erased."""
        if not self._erasures:
            return 0
        if user not in self._erased_up_to:
            concerning = (sequence for sequence, one in self._erasures if one.concerns(user))
            self._erased_up_to[user] = max(concerning, default=0)
        return self._erased_up_to[user]
