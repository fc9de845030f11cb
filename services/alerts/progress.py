"""How far the alerts service is: `svc.alerts.progress` of who triggers rules, and
`svc.alerts.notifying` of who writes notifications; each answered by who holds that lease."""

from collections.abc import Iterable

from tapewire.log import Unavailable
from tapewire.runtime import RequestContext
from tapewire.runtime.contracts.progress import GetProgress, Progress
from tapewire_services.alerts import event_rule_consumer, notification_writer
from tapewire_services.alerts.armed_rule_index import RULES_FILTER, ArmedRuleIndex
from tapewire_services.alerts.price_monitor import PriceMonitor


class AlertsProgress:
    """`happenings` and `notices` are how far the followers have come, by what they follow."""

    def __init__(self, price_monitor: PriceMonitor, armed_rules: ArmedRuleIndex) -> None:
        self.trigger_sequences: dict[str, int] = {}
        self.notification_sequences: dict[str, int] = {}
        self._price_monitor = price_monitor
        self._armed_rules = armed_rules

    async def get_progress(self, _request: GetProgress, _context: RequestContext) -> Progress:
        """The endpoint; what prices taught is kept before it is answered. Raises LogError."""
        taken = {**self.trigger_sequences, **self._armed_rules.last_handled_sequences}
        _require_caught_up(
            taken, [*event_rule_consumer.FILTERS_BY_CHECKPOINT_NAME.values(), RULES_FILTER]
        )
        await self._price_monitor.save_extremes()
        return Progress(
            busy=self._price_monitor.pending_count,
            taken=taken,
            quotes=self._price_monitor.last_quote_times(),
        )

    async def get_notification_progress(
        self, _request: GetProgress, _context: RequestContext
    ) -> Progress:
        """The endpoint. Raises Unavailable."""
        _require_caught_up(
            self.notification_sequences, notification_writer.FILTERS_BY_CHECKPOINT_NAME.values()
        )
        return Progress(busy=0, taken=dict(self.notification_sequences), quotes={})


def _require_caught_up(last_handled_sequences: dict[str, int], filters: Iterable[str]) -> None:
    missing = [one for one in filters if one not in last_handled_sequences]
    if missing:
        raise Unavailable(f"still reading {', '.join(missing)}")
