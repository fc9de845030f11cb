"""How far the alerts service is: `svc.alerts.progress` of who triggers rules, and
`svc.alerts.notifying` of who writes notifications; each answered by who holds that lease."""

from collections.abc import Iterable

from services.alerts import happenings, notifying
from services.alerts.rulebook import FILTER, Rulebook
from services.alerts.watching import Watch
from tapewire.log import Unavailable
from tapewire.runtime import Context
from tapewire.runtime.contracts.progress import AskProgress, Progress


class AlertsProgress:
    """`happenings` and `notices` are how far the followers have come, by what they follow."""

    def __init__(self, watch: Watch, rulebook: Rulebook) -> None:
        self.happenings: dict[str, int] = {}
        self.notices: dict[str, int] = {}
        self._watch = watch
        self._rulebook = rulebook

    async def progress(self, _request: AskProgress, _context: Context) -> Progress:
        """The endpoint; what prices taught is kept before it is answered. Raises LogError."""
        taken = {**self.happenings, **self._rulebook.places}
        _caught_up(taken, [*happenings.FILTERS.values(), FILTER])
        await self._watch.keep()
        return Progress(busy=self._watch.busy, taken=taken, quotes=self._watch.quotes())

    async def notifying(self, _request: AskProgress, _context: Context) -> Progress:
        """The endpoint. Raises Unavailable."""
        _caught_up(self.notices, notifying.FILTERS.values())
        return Progress(busy=0, taken=dict(self.notices), quotes={})


def _caught_up(taken: dict[str, int], wanted: Iterable[str]) -> None:
    missing = [one for one in wanted if one not in taken]
    if missing:
        raise Unavailable(f"still reading {', '.join(missing)}")
