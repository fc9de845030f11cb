"""What the rulebook keeps in VIEWS, for verification."""

import msgspec

from services.alerts.domain.armed import ArmedRules
from services.alerts.rulebook import NAME
from tapewire.log import Recorded
from tapewire.log.checkpoints import Claim, Kept, follower, plain


class _Fold:
    def __init__(self, _: Claim) -> None:
        self._rules = ArmedRules()

    def apply(self, recorded: Recorded) -> None:
        self._rules.apply(recorded)

    def state(self) -> object:
        return _state(self._rules)


def _read(data: bytes) -> Claim:
    claim, rules = follower(data), ArmedRules()
    rules.restore(claim.state)
    return msgspec.structs.replace(claim, state=_state(rules))


def _state(rules: ArmedRules) -> object:
    armed = {f"{one.user} {one.rule.rule_id}": one for one in rules.all()}
    return plain({"asOf": rules.as_of, "armed": armed, "moving": sorted(rules.moving())})


KEPT = (Kept(name=NAME, domain="rules", read=_read, fold=_Fold),)
