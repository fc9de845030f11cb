"""What the runner's follower keeps in VIEWS, for verification."""

import msgspec

from services.strategies.roster import Roster
from services.strategies.runner import LEASE
from tapewire.log import Recorded
from tapewire.log.checkpoints import Claim, Kept, follower, plain


class _Fold:
    def __init__(self, _: Claim) -> None:
        self._roster = Roster()

    def apply(self, recorded: Recorded) -> None:
        self._roster.apply(recorded)

    def state(self) -> object:
        return _state(self._roster)


def _read(data: bytes) -> Claim:
    claim = follower(data)
    return msgspec.structs.replace(claim, state=_state(Roster.decode(claim.state)))


def _state(roster: Roster) -> object:
    return plain({str(member.subject): member for member in roster.members()})


KEPT = (Kept(name=LEASE, domain="strategies", read=_read, fold=_Fold),)
