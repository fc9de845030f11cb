"""The serializer of the dashboard streams: ``new_item``, ``item:corrected``, ``item:retracted`` and
``metrics``."""

from tapewire.events import Event, Item, ItemAnalysed, ItemCorrected, ItemRetracted, Metrics
from tapewire.payloads.items import ItemRates, ItemView, MetricsPayload, RetractedItemView
from tapewire_services.edge.delivery.serializers.serializer import PricingContext, SseMessage


def metrics_view(metrics: Metrics) -> MetricsPayload:
    """`metrics` as clients see them."""
    return MetricsPayload(
        total=metrics.total,
        positive=metrics.positive,
        neutral=metrics.neutral,
        negative=metrics.negative,
        tags={one.tag: one.count for one in metrics.tags},
        other_tags=metrics.other_tags,
        rates=ItemRates(
            last_hour=metrics.last_hour, last_day=metrics.last_day, per_hour=metrics.per_hour
        ),
        timestamp=metrics.timestamp,
    )


def item_view(item: Item) -> ItemView:
    """`item` as clients see it."""
    return ItemView(
        id=item.id,
        title=item.title,
        source=item.source,
        url=item.url,
        tickers=item.tickers,
        tags=item.tags,
        sentiment=item.sentiment,
        score=item.score,
        timestamp=item.timestamp,
    )


def serialize_dashboard(event: Event, owner: str, pricing: PricingContext) -> SseMessage | None:  # noqa: ARG001
    """The message for `event`; None when dashboards do not show it."""
    if isinstance(event, ItemAnalysed):
        return "new_item", item_view(event.item)
    if isinstance(event, ItemCorrected):
        return "item:corrected", item_view(event.item)
    if isinstance(event, ItemRetracted):
        return "item:retracted", RetractedItemView(id=event.item.id, reason=event.reason)
    return None
