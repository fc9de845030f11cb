"""Handles requests that add, correct and retract items, and count them.

The handlers read the clock; `domain` and `item_writer` do not.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from tapewire.events import Item, ItemAnalysed
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
    PutItem,
    RejectedItem,
    RetractItem,
)
from tapewire.views import MetricsView
from tapewire_services.insights.domain.items import (
    ValidatedItem,
    build_corrected_item,
    build_item_analysed,
    validate_id,
    validate_item,
    validate_reason,
)
from tapewire_services.insights.item_changer import ItemChanger
from tapewire_services.insights.item_writer import ItemWriter
from tapewire_services.insights.scoring import SentimentScorer


def utc_now() -> datetime:
    return datetime.now(UTC)


class InsightsService:
    """The handlers of `svc.insights.add`, `put`, `retract`, `load` and `metrics`."""

    def __init__(
        self,
        log: EventLog,
        values: LatestValueStore,
        item_writer: ItemWriter,
        item_changer: ItemChanger,
        scorer: SentimentScorer,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._log = log
        self._values = values
        self._item_writer = item_writer
        self._item_changer = item_changer
        self._scorer = scorer
        self._clock = clock

    async def add(self, request: NewItem, context: RequestContext) -> ItemReply:
        """Add an item. If it is stored already, reply with the stored one."""
        item = validate_item(request, self._clock())
        stored = await self._item_writer.add(await self._score_items([item]), context)
        result = stored[item.id]
        return ItemReply(item=result.item, created=result.created)

    async def put(self, request: PutItem, context: RequestContext) -> ItemReply:
        """Add an item, or correct the one with that id."""
        item = validate_item(request, self._clock())
        reason = validate_reason(request.reason)
        [analysed] = await self._score_items([item])
        if not request.must_exist:
            stored = (await self._item_writer.add([analysed], context))[item.id]
            if stored.created:
                return ItemReply(item=stored.item, created=True)
        computed_score = analysed.item.score

        def correct(current: Item) -> Item:
            return build_corrected_item(current, item, request, computed_score)

        changed = await self._item_changer.change(item.id, correct, reason, context)
        return ItemReply(item=changed.item, created=False, changed=changed.changed)

    async def retract(self, request: RetractItem, context: RequestContext) -> ItemReply:
        """Withdraw an item. Doing so again changes nothing."""

        def retract(current: Item) -> Item:
            return msgspec.structs.replace(current, retracted=True)

        id_, reason = validate_id(request.id), validate_reason(request.reason)
        changed = await self._item_changer.change(id_, retract, reason, context)
        return ItemReply(item=changed.item, created=False, changed=changed.changed)

    async def load(self, request: LoadItems, context: RequestContext) -> LoadReply:
        """Add all well-formed items that are not stored yet. The reply lists malformed ones."""
        if not 1 <= len(request.items) <= MAX_LOADED_ITEMS:
            message = f"items must be 1 to {MAX_LOADED_ITEMS}, not {len(request.items)}"
            raise CommandRejected("invalid", message, "items")
        valid, rejected = _validate_items(request.items, self._clock())
        stored = await self._item_writer.add(await self._score_items(valid), context)
        added = sum(one.created for one in stored.values())
        return LoadReply(added=added, there=len(valid) - added, refused=rejected)

    async def metrics(self, _request: GetMetrics, _: RequestContext) -> MetricsReply:
        """Return the counts as of the end of the log."""
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
    valid, rejected = [], []
    for index, item in enumerate(items):
        try:
            valid.append(validate_item(item, at))
        except CommandRejected as rejection:
            rejected.append(
                RejectedItem(index=index, path=rejection.path, message=rejection.message)
            )
    return valid, rejected
