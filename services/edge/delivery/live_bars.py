"""Bars on streams: a snapshot of each series, then each bar that changes. Pure."""

from collections.abc import Callable, Iterable
from functools import partial

from tapewire_services.edge.delivery.conflation import ValueSubscription
from tapewire_services.edge.delivery.conflation_registry import GroupSpec
from tapewire_services.edge.delivery.serializers import SseMessage
from tapewire_services.edge.delivery.serializers.bars import bar_message, bars_snapshot_message
from tapewire_services.edge.delivery.topics import LiveValue
from tapewire_services.edge.ingest.bar_feed import BarFeed, BarSeries, KeysOfSeries, snapshot_key

Render = Callable[[SseMessage], bytes]


def bars_group(feed: BarFeed, requested: ValueSubscription, render: Render) -> GroupSpec:
    """The conflation group of a connection that is shown `requested` series."""
    return GroupSpec(
        value=LiveValue.BARS,
        variant=(requested.bars, requested.max_rate),
        max_rate=requested.max_rate,
        keys=KeysOfSeries(requested.bars),
        initial_keys=frozenset(map(snapshot_key, requested.bars)),
        render=partial(_render_bars, feed, render, sorted(requested.bars)),
    )


def _render_bars(
    feed: BarFeed, render: Render, every: list[BarSeries], keys: Iterable[str]
) -> bytes:
    """The frames of bars that have changed; of a series whose snapshot is sent only that."""
    wanted, chunk = frozenset(keys), list[bytes]()
    for series in every:
        if snapshot_key(series) in wanted:
            bars = feed.snapshot(series)
            if bars is not None:
                chunk.append(render(bars_snapshot_message(series, bars)))
        else:
            changed = feed.changed_bars(series, wanted)
            chunk += [render(bar_message(series, bar)) for bar in changed]
    return b"".join(chunk)
