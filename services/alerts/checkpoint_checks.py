"""What the rulebook keeps in VIEWS, for verification."""

import msgspec

from tapewire.log import RecordedEvent
from tapewire.log.checkpoint_checks import (
    CheckpointCheck,
    DecodedCheckpoint,
    decode_follower_checkpoint,
    to_builtins,
)
from tapewire_services.alerts.armed_rule_index import CHECKPOINT_NAME
from tapewire_services.alerts.domain.armed_rules import ArmedRulesProjection


class _ArmedRulesFold:
    def __init__(self, _: DecodedCheckpoint) -> None:
        self._rules = ArmedRulesProjection()

    def apply(self, recorded: RecordedEvent) -> None:
        self._rules.apply(recorded)

    def state(self) -> object:
        return _to_comparable_state(self._rules)


def _decode_checkpoint(data: bytes) -> DecodedCheckpoint:
    claim, rules = decode_follower_checkpoint(data), ArmedRulesProjection()
    rules.restore_state(claim.state)
    return msgspec.structs.replace(claim, state=_to_comparable_state(rules))


def _to_comparable_state(rules: ArmedRulesProjection) -> object:
    armed = {f"{one.user} {one.rule.rule_id}": one for one in rules.get_all()}
    return to_builtins(
        {"asOf": rules.as_of, "armed": armed, "moving": sorted(rules.percent_move_symbols())}
    )


CHECKPOINT_CHECKS = (
    CheckpointCheck(
        name=CHECKPOINT_NAME, domain="rules", decode=_decode_checkpoint, make_fold=_ArmedRulesFold
    ),
)
