"""What the insights service answers about items and their counts.

A clock is read here and nowhere below. `intake` appends, `listing` reads items.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from services.insights.domain.items import Checked, analysed, checked
from services.insights.intake import Intake
from services.insights.scoring import Scorer
from tapewire.events import ItemAnalysed
from tapewire.log import EVERYBODY, EventLog, Refusal, Values, views
from tapewire.runtime import Context
from tapewire.runtime.contracts.insights import (
    MOST_LOADED,
    AskMetrics,
    ItemReply,
    LoadItems,
    LoadReply,
    MetricsReply,
    NewItem,
    RefusedItem,
)
from tapewire.views import MetricsView


def utc_now() -> datetime:
    return datetime.now(UTC)


class InsightsService:
    """The handlers of `svc.insights.*` that add items and count them."""

    def __init__(
        self,
        log: EventLog,
        values: Values,
        scorer: Scorer,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._log = log
        self._values = values
        self._intake = Intake(log)
        self._scorer = scorer
        self._clock = clock

    async def add(self, request: NewItem, context: Context) -> ItemReply:
        """Put the item on the tape, or answer with the one that is there."""
        item = checked(request, self._clock())
        stored = await self._intake.add(await self._scored([item]), context)
        of = stored[item.id]
        return ItemReply(item=of.item, created=of.created)

    async def load(self, request: LoadItems, context: Context) -> LoadReply:
        """Put all items on the tape that are well-formed and not there yet."""
        if not 1 <= len(request.items) <= MOST_LOADED:
            message = f"items must be 1 to {MOST_LOADED}, not {len(request.items)}"
            raise Refusal("invalid", message, "items")
        good, refused = _sorted_out(request.items, self._clock())
        stored = await self._intake.add(await self._scored(good), context)
        added = sum(one.created for one in stored.values())
        return LoadReply(added=added, there=len(good) - added, refused=refused)

    async def metrics(self, _request: AskMetrics, _: Context) -> MetricsReply:
        """The counts, exactly as of the end of the log."""
        view, bounds = await views.load(self._log, self._values, MetricsView, EVERYBODY)
        metrics = view.metrics(self._clock())
        return MetricsReply(metrics=metrics, as_of=bounds.last, epoch=bounds.epoch)

    async def _scored(self, items: Sequence[Checked]) -> list[ItemAnalysed]:
        unknown = [item for item in items if item.score is None]
        scores = await self._scorer.scores([item.reading for item in unknown]) if unknown else []
        by_id = {item.id: score for item, score in zip(unknown, scores, strict=True)}
        return [analysed(item, by_id.get(item.id)) for item in items]


def _sorted_out(items: Sequence[NewItem], at: datetime) -> tuple[list[Checked], list[RefusedItem]]:
    good, refused = [], []
    for index, item in enumerate(items):
        try:
            good.append(checked(item, at))
        except Refusal as no:
            refused.append(RefusedItem(index=index, path=no.path, message=no.message))
    return good, refused
