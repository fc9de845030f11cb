"""Triggers rules by what happens to orders and strategies: a consumer, followed under a lease.

A rule is triggered by the first fitting event that stands after its arming in the log. To judge
that, the rulebook must have come as far; what it knows beyond does no harm, for rules know where
they were armed. Taking events again changes nothing (`alarms`).
"""

import asyncio
from collections.abc import Sequence

from services.alerts.alarms import Alarms, Cause
from services.alerts.domain.armed import Armed
from services.alerts.domain.telling import Occasion
from services.alerts.domain.wording import OCCASIONS, occasion
from services.alerts.reading import read
from services.alerts.rulebook import Rulebook
from tapewire.log import Recorded, pattern

FILTERS = {
    "alerts-of-orders": pattern(domain="orders"),
    "alerts-of-strategies": pattern(domain="strategies"),
    "alerts-of-reports": pattern(domain="reports"),
}
"""Names of followers and what they follow. Tapewire's own events of one kind come from one domain,
so for each rule they are in the order of the log. What other programs report is in order too, and
beside it: of one of each that come at once, the one that is found first triggers the rule."""


class Happenings:
    """Keeps no state but the cursor that its follower keeps."""

    def __init__(self, rulebook: Rulebook, alarms: Alarms) -> None:
        self._rulebook = rulebook
        self._alarms = alarms

    def restore(self, state: bytes) -> None:
        """There is none."""

    def save(self) -> bytes:
        return b"null"

    async def caught_up(self) -> None:
        """Nothing waits for it."""

    async def take(self, events: Sequence[Recorded]) -> None:
        occasions = [(recorded, found) for recorded in events if (found := _occasion(recorded))]
        if not occasions:
            return
        await self._rulebook.reach(occasions[-1][0].sequence)
        first: dict[str, tuple[Armed, Cause]] = {}
        for recorded, found in occasions:
            user = recorded.place.owner
            for armed in self._rulebook.waiting(user, found.kind, found.symbol, recorded.sequence):
                first.setdefault(armed.rule.rule_id, (armed, _cause(recorded, found)))
        await asyncio.gather(*[self._alarms.trigger(*one) for one in first.values()])


def _occasion(recorded: Recorded) -> Occasion | None:
    event = read(recorded, OCCASIONS)
    return None if event is None else occasion(event)


def _cause(recorded: Recorded, found: Occasion) -> Cause:
    return Cause(
        id=recorded.meta.id,
        at=found.at,
        symbol=found.symbol,
        message=found.message,
        correlation=recorded.meta.correlation,
        traceparent=recorded.meta.traceparent,
    )
