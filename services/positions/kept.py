"""What the taker of trades keeps in VIEWS, for verification.

Its rows are true for the trades up to the checkpoint's sequence, or for later ones: where another
process was there before, a position is read as it is. So a row is compared with the position after
the very event that it names, and must not be older than the last one of a trade that was taken; a
position without a row must be closed, then or later.
"""

from typing import Any

import msgspec

from services.positions.taking import CHECKPOINT, rows
from tapewire.events import PositionEvent
from tapewire.log import Recorded
from tapewire.log.checkpoints import Claim, Kept, follower, plain

_Entry = dict[str, Any]


class _Fold:
    def __init__(self, claim: Claim) -> None:
        self._as_of = claim.as_of
        self._named = {name: row["sequence"] for name, row in claim.state.items()}
        self._open: dict[str, _Entry] = {}

    def apply(self, recorded: Recorded) -> None:
        event = recorded.event
        if not isinstance(event, PositionEvent):
            return
        name = f"{recorded.place.owner} {event.position.symbol}"
        taken = event.trade_sequence <= self._as_of
        named = self._named.get(name)
        if not taken and (named is None or recorded.sequence > named):
            if named is None and not event.position.quantity:
                self._open.pop(name, None)
            return
        if event.position.quantity:
            self._open[name] = _row(recorded, event)
        else:
            self._open.pop(name, None)

    def state(self) -> Any:
        return plain(self._open)


def _row(recorded: Recorded, event: PositionEvent) -> _Entry:
    return {
        **msgspec.structs.asdict(event.position),
        "user": recorded.place.owner,
        "trade_sequence": event.trade_sequence,
        "sequence": recorded.sequence,
    }


def _read(data: bytes) -> Claim:
    claim = follower(data)
    state = {f"{row['user']} {row['symbol']}": row for row in rows(claim.state)}
    return msgspec.structs.replace(claim, state=plain(state))


def _never(_: Recorded) -> int:
    return 0


KEPT = (Kept(name=CHECKPOINT, domain="positions", read=_read, fold=_Fold, at=_never),)
