"""What the insights service answers about items: the newest, and those after a place in the log."""

from collections.abc import Callable

import msgspec
import structlog

from services.insights.domain import texts
from tapewire.events import Item, ItemAnalysed, Undecodable, UnknownType
from tapewire.log import EVERYBODY, Bounds, EventLog, Recorded, Refusal, Values, pattern, views
from tapewire.runtime import Context
from tapewire.runtime.contracts.insights import MOST_LISTED, ItemsReply, ListItems
from tapewire.views import ConfigurationsView, ItemsView
from tapewire.views.configurations import shows

FILTER = pattern(owner=EVERYBODY, domain=ItemsView.domain)
PAGES_READ = 8
"""Pages that one request reads at the most: where few items pass, it asks again from there."""

Keeps = Callable[[Item], bool]

logger = structlog.get_logger("insights.listing")


class _Found(msgspec.Struct):
    """Items, and the place up to which all were looked at."""

    items: list[Item]
    place: int


class Listing:
    """The handler of `svc.insights.items`."""

    def __init__(self, log: EventLog, values: Values) -> None:
        self._log = log
        self._values = values

    async def items(self, request: ListItems, _: Context) -> ItemsReply:
        """The newest items, or what came after a place, without a gap."""
        if not 1 <= request.limit <= MOST_LISTED:
            message = f"limit must be 1 to {MOST_LISTED}, not {request.limit}"
            raise Refusal("invalid", message, "limit")
        keeps = await self._keeps(request)
        if request.since is None:
            return await self._newest(request.limit, keeps)
        _checked_place(request)
        bounds = await self._log.bounds()
        if not _reaches(bounds, request.since, request.epoch):
            return await self._newest(request.limit, keeps, reset=True)
        reply = await self._after(request.since, request.limit, keeps, bounds)
        # What was trimmed away, or made anew, under the reading may be missing in it.
        if not _reaches(await self._log.bounds(), request.since, request.epoch):
            return await self._newest(request.limit, keeps, reset=True)
        return reply

    async def _keeps(self, request: ListItems) -> Keeps:
        if request.configuration_id is None:
            return lambda _: True
        if request.user_id is None:
            raise Refusal("invalid", "a configuration needs its userId", "userId")
        user = texts.user(request.user_id)
        view, _ = await views.load(self._log, self._values, ConfigurationsView, user)
        configuration = view.get(request.configuration_id)
        if configuration is None:
            message = f"there is no configuration {texts.show(request.configuration_id)}"
            raise Refusal("not_found", message)
        return lambda item: shows(configuration, item)

    async def _newest(self, limit: int, keeps: Keeps, *, reset: bool = False) -> ItemsReply:
        view, bounds = await views.load(self._log, self._values, ItemsView, EVERYBODY)
        items = [item for item in view.items() if keeps(item)][-limit:]
        return ItemsReply(items=items, as_of=bounds.last, epoch=bounds.epoch, reset=reset)

    async def _after(self, since: int, limit: int, keeps: Keeps, bounds: Bounds) -> ItemsReply:
        """A replica that lags makes an answer shorter, never one with a hole."""
        wanted = min(await self._log.last(FILTER), bounds.last)
        found = _Found([], since)
        for _ in range(PAGES_READ):
            if found.place >= wanted or len(found.items) >= limit:
                break
            page = await self._log.page(FILTER, after=found.place)
            for recorded in page.events:
                _look(recorded, keeps, found)
                if len(found.items) >= limit:
                    break
        more = found.place < wanted
        return ItemsReply(
            items=found.items,
            as_of=found.place if more else max(found.place, bounds.last),
            epoch=bounds.epoch,
            more=more,
        )


def _checked_place(request: ListItems) -> None:
    if request.since is not None and request.since < 0:
        raise Refusal("invalid", f"since must be 0 or more, not {request.since}", "since")
    if request.epoch is None:
        raise Refusal("invalid", "since needs the epoch that it came with", "epoch")


def _reaches(bounds: Bounds, since: int, epoch: str | None) -> bool:
    """Whether everything after `since` is there."""
    return epoch == bounds.epoch and bounds.first - 1 <= since <= bounds.last


def _look(recorded: Recorded, keeps: Keeps, found: _Found) -> None:
    found.place = recorded.sequence
    try:
        event = recorded.event
    except (UnknownType, Undecodable) as error:
        logger.warning("passes over an event", sequence=recorded.sequence, error=str(error))
        return
    if isinstance(event, ItemAnalysed) and keeps(event.item):
        found.items.append(event.item)
