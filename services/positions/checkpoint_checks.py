"""What the taker of trades keeps in VIEWS, for verification.

Its rows are true for the trades up to the checkpoint's sequence, or for later ones: where another
process was there before, a position is read as it is. So a row is compared with the position after
the very event that it names, and must not be older than the last one of a trade that was taken; a
position without a row must be closed, then or later.
"""

from typing import Any

import msgspec

from tapewire.events import PositionEvent
from tapewire.log import RecordedEvent
from tapewire.log.checkpoint_checks import (
    CheckpointCheck,
    DecodedCheckpoint,
    decode_follower_checkpoint,
    to_builtins,
)
from tapewire_services.positions.trade_consumer import CHECKPOINT_NAME, decode_checkpoint_rows

_Entry = dict[str, Any]


class _Fold:
    def __init__(self, claim: DecodedCheckpoint) -> None:
        self._as_of = claim.as_of
        self._named = {name: row["sequence"] for name, row in claim.state.items()}
        self._open: dict[str, _Entry] = {}

    def apply(self, recorded: RecordedEvent) -> None:
        event = recorded.event
        if not isinstance(event, PositionEvent):
            return
        name = f"{recorded.event_subject.owner} {event.position.symbol}"
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
        return to_builtins(self._open)


def _row(recorded: RecordedEvent, event: PositionEvent) -> _Entry:
    return {
        **msgspec.structs.asdict(event.position),
        "user": recorded.event_subject.owner,
        "trade_sequence": event.trade_sequence,
        "sequence": recorded.sequence,
    }


def _read(data: bytes) -> DecodedCheckpoint:
    claim = decode_follower_checkpoint(data)
    state = {f"{row['user']} {row['symbol']}": row for row in decode_checkpoint_rows(claim.state)}
    return msgspec.structs.replace(claim, state=to_builtins(state))


def _never(_: RecordedEvent) -> int:
    return 0


CHECKPOINT_CHECKS = (
    CheckpointCheck(
        name=CHECKPOINT_NAME, domain="positions", decode=_read, make_fold=_Fold, sequence_of=_never
    ),
)
