"""What the runner's follower keeps in VIEWS, for verification."""

import msgspec

from tapewire.log import RecordedEvent
from tapewire.log.checkpoint_checks import (
    CheckpointCheck,
    DecodedCheckpoint,
    decode_follower_checkpoint,
    to_builtins,
)
from tapewire_services.strategies.domain.active_strategies import ActiveStrategies
from tapewire_services.strategies.runner import LEASE_NAME


class _ActiveStrategiesFold:
    def __init__(self, _: DecodedCheckpoint) -> None:
        self._active_strategies = ActiveStrategies()

    def apply(self, recorded: RecordedEvent) -> None:
        self._active_strategies.apply(recorded)

    def state(self) -> object:
        return _to_comparable_state(self._active_strategies)


def _decode_checkpoint(data: bytes) -> DecodedCheckpoint:
    claim = decode_follower_checkpoint(data)
    return msgspec.structs.replace(
        claim, state=_to_comparable_state(ActiveStrategies.decode(claim.state))
    )


def _to_comparable_state(active_strategies: ActiveStrategies) -> object:
    return to_builtins({str(member.subject): member for member in active_strategies.get_all()})


CHECKPOINT_CHECKS = (
    CheckpointCheck(
        name=LEASE_NAME,
        domain="strategies",
        decode=_decode_checkpoint,
        make_fold=_ActiveStrategiesFold,
    ),
)
