"""Handles requests that list items: the newest ones, earlier ones, or those after a sequence."""

from collections.abc import Callable

import msgspec
import structlog

from tapewire.decimals import abbreviate
from tapewire.events import (
    Item,
    ItemAnalysed,
    ItemChangedEvent,
    ItemCorrected,
    Undecodable,
    UnknownType,
)
from tapewire.log import (
    EVERYBODY,
    Bounds,
    CommandRejected,
    EventLog,
    LatestValueStore,
    RecordedEvent,
    pattern,
    view_checkpoints,
)
from tapewire.log.history import HistoryReader
from tapewire.log.list_cursor import check_limit
from tapewire.runtime import RequestContext
from tapewire.runtime.contracts.insights import MAX_LISTED_ITEMS, ItemsReply, ListItems
from tapewire.views import ConfigurationsView, ItemHistory
from tapewire.views.configurations import configuration_matches
from tapewire_services.insights.domain import text_validation

ITEMS_FILTER = pattern(owner=EVERYBODY, domain=ItemHistory.domain)
MAX_PAGES = 8
"""Pages that one request reads at most. If few items match, the client continues from there."""

ItemFilter = Callable[[Item], bool]

logger = structlog.get_logger("insights.item_queries")


class _ItemPage(msgspec.Struct):
    """Matching items, and the sequence up to which all items were examined."""

    items: list[Item]
    last_sequence: int
    retracted: list[str] = msgspec.field(default_factory=list)


class ItemQueries:
    """The handler of `svc.insights.items`."""

    def __init__(self, log: EventLog, values: LatestValueStore) -> None:
        self._log = log
        self._values = values
        self._history = HistoryReader(log, values, ItemHistory)

    async def items(self, request: ListItems, _: RequestContext) -> ItemsReply:
        """Return the newest items, those before a cursor, or those after a sequence, without a gap.

        If the log no longer has everything after the sequence, the reply has the newest items and
        `reset` is true.
        """
        check_limit(request.limit, MAX_LISTED_ITEMS)
        if request.since is not None and request.cursor is not None:
            raise CommandRejected("invalid", "cursor and since exclude each other", "cursor")
        accepts = await self._build_filter(request)
        if request.since is None:
            return await self._read_before(request.cursor, request.limit, accepts)
        _validate_since(request)
        bounds = await self._log.bounds()
        if not _is_complete_after(bounds, request.since, request.epoch):
            return await self._read_before(None, request.limit, accepts, is_reset=True)
        reply = await self._read_after(request.since, request.limit, accepts, bounds)
        # Items that were trimmed, or a log that was recreated, during the read may be missing.
        if not _is_complete_after(await self._log.bounds(), request.since, request.epoch):
            return await self._read_before(None, request.limit, accepts, is_reset=True)
        return reply

    async def _build_filter(self, request: ListItems) -> ItemFilter:
        if request.configuration_id is None:
            return lambda _: True
        if request.user_id is None:
            raise CommandRejected("invalid", "a configuration needs its userId", "userId")
        user = text_validation.validate_user_id(request.user_id)
        view, _ = await view_checkpoints.load(self._log, self._values, ConfigurationsView, user)
        configuration = view.get(request.configuration_id)
        if configuration is None:
            message = f"there is no configuration {abbreviate(request.configuration_id)}"
            raise CommandRejected("not_found", message)
        return lambda item: configuration_matches(configuration, item)

    async def _read_before(
        self, cursor: str | None, limit: int, accepts: ItemFilter, *, is_reset: bool = False
    ) -> ItemsReply:
        """Read the items before `cursor`, or the newest ones."""
        page = await self._history.read_matching_page(
            EVERYBODY, limit, cursor, lambda item: not item.retracted and accepts(item)
        )
        return ItemsReply(
            items=page.rows[::-1],
            next=page.next,
            as_of=page.bounds.last,
            epoch=page.bounds.epoch,
            reset=is_reset,
        )

    async def _read_after(
        self, since: int, limit: int, accepts: ItemFilter, bounds: Bounds
    ) -> ItemsReply:
        """Read the items after `since`. A lagging replica shortens the reply but leaves no gap."""
        wanted = min(await self._log.last_sequence(ITEMS_FILTER), bounds.last)
        found = _ItemPage([], since)
        for _ in range(MAX_PAGES):
            if found.last_sequence >= wanted or len(found.items) >= limit:
                break
            page = await self._log.page(ITEMS_FILTER, after=found.last_sequence)
            for recorded in page.events:
                _collect_item(recorded, accepts, found)
                if len(found.items) >= limit:
                    break
        more = found.last_sequence < wanted
        return ItemsReply(
            items=found.items,
            retracted=found.retracted,
            as_of=found.last_sequence if more else max(found.last_sequence, bounds.last),
            epoch=bounds.epoch,
            more=more,
        )


def _validate_since(request: ListItems) -> None:
    if request.since is not None and request.since < 0:
        raise CommandRejected("invalid", f"since must be 0 or more, not {request.since}", "since")
    if request.epoch is None:
        raise CommandRejected("invalid", "since needs the epoch that it came with", "epoch")


def _is_complete_after(bounds: Bounds, since: int, epoch: str | None) -> bool:
    """Whether the log holds everything after `since`."""
    return bounds.includes(epoch or "", since) and bounds.first - 1 <= since


def _collect_item(recorded: RecordedEvent, accepts: ItemFilter, found: _ItemPage) -> None:
    found.last_sequence = recorded.sequence
    try:
        event = recorded.event
    except (UnknownType, Undecodable) as error:
        logger.warning("event.skipped", sequence=recorded.sequence, error=str(error))
        return
    if isinstance(event, ItemAnalysed | ItemCorrected) and accepts(event.item):
        found.items.append(event.item)
    elif isinstance(event, ItemChangedEvent) and accepts(event.previous):
        found.retracted.append(event.item.id)
