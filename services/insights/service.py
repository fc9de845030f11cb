"""What the insights service answers about items and their counts.

A clock is read here and nowhere below. `intake` appends, `listing` reads items.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from tapewire.events import ItemAnalysed
from tapewire.log import EVERYBODY, CommandRejected, EventLog, LatestValueStore, view_checkpoints
from tapewire.runtime import RequestContext
from tapewire.runtime.contracts.insights import (
    MAX_LOADED_ITEMS,
    GetMetrics,
    ItemReply,
    LoadItems,
    LoadReply,
    MetricsReply,
    NewItem,
    RejectedItem,
)
from tapewire.views import MetricsView
from tapewire_services.insights.domain.items import (
    ValidatedItem,
    build_item_analysed,
    validate_item,
)
from tapewire_services.insights.item_writer import ItemWriter
from tapewire_services.insights.scoring import SentimentScorer


def utc_now() -> datetime:
    return datetime.now(UTC)


class InsightsService:
    """The handlers of `svc.insights.*` that add items and count them."""

    def __init__(
        self,
        log: EventLog,
        values: LatestValueStore,
        scorer: SentimentScorer,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._log = log
        self._values = values
        self._item_writer = ItemWriter(log)
        self._scorer = scorer
        self._clock = clock

    async def add(self, request: NewItem, context: RequestContext) -> ItemReply:
        """Put the item on the tape, or answer with the one that is there."""
        item = validate_item(request, self._clock())
        stored = await self._item_writer.add(await self._score_items([item]), context)
        of = stored[item.id]
        return ItemReply(item=of.item, created=of.created)

    async def load(self, request: LoadItems, context: RequestContext) -> LoadReply:
        """Put all items on the tape that are well-formed and not there yet."""
        if not 1 <= len(request.items) <= MAX_LOADED_ITEMS:
            message = f"items must be 1 to {MAX_LOADED_ITEMS}, not {len(request.items)}"
            raise CommandRejected("invalid", message, "items")
        good, refused = _validate_items(request.items, self._clock())
        stored = await self._item_writer.add(await self._score_items(good), context)
        added = sum(one.created for one in stored.values())
        return LoadReply(added=added, there=len(good) - added, refused=refused)

    async def metrics(self, _request: GetMetrics, _: RequestContext) -> MetricsReply:
        """The counts, exactly as of the end of the log."""
        view, bounds = await view_checkpoints.load(self._log, self._values, MetricsView, EVERYBODY)
        metrics = view.metrics(self._clock())
        return MetricsReply(metrics=metrics, as_of=bounds.last, epoch=bounds.epoch)

    async def _score_items(self, items: Sequence[ValidatedItem]) -> list[ItemAnalysed]:
        unknown = [item for item in items if item.score is None]
        scores = (
            await self._scorer.score_texts([item.text_to_score for item in unknown])
            if unknown
            else []
        )
        by_id = {item.id: score for item, score in zip(unknown, scores, strict=True)}
        return [build_item_analysed(item, by_id.get(item.id)) for item in items]


def _validate_items(
    items: Sequence[NewItem], at: datetime
) -> tuple[list[ValidatedItem], list[RejectedItem]]:
    good, refused = [], []
    for index, item in enumerate(items):
        try:
            good.append(validate_item(item, at))
        except CommandRejected as no:
            refused.append(RejectedItem(index=index, path=no.path, message=no.message))
    return good, refused
