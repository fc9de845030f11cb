"""Requests to the insights service about items: `svc.insights.add`, `load`, `put`, `retract`,
`items` and `metrics`.

`configurations` has the requests about configurations, which the same service answers. It rejects
requests with the codes ``invalid`` (with the path of the field in JSON: ``title``, ``tickers[3]``,
``score``, ``since``, …) and ``not_found`` (a configuration that is unknown, or another user's).

Unknown fields are rejected: if ``sentiment`` is misspelled, the service would compute one instead.
Replies may gain fields.
"""

import hashlib
from datetime import datetime
from decimal import Decimal

import msgspec

from tapewire.events import Item, Metrics, Sentiment
from tapewire.runtime.contracts.request import (
    PageReply,
    PageRequest,
    RequestStruct,
    ServiceCall,
    UserId,
)

SERVICE = "insights"
ADD, LOAD, ITEMS, METRICS = "add", "load", "items", "metrics"
PUT, RETRACT = "put", "retract"

MAX_LOADED_ITEMS = 100
"""Items of one `LoadItems`."""
MAX_LISTED_ITEMS = 200
"""Items of one `ItemsReply`."""
MAX_REASON_CHARACTERS = 200
MAX_TITLE_CHARACTERS = 200
MAX_SOURCE_CHARACTERS = 60
MAX_URL_CHARACTERS = 1024
MAX_TEXT_CHARACTERS = 1000
"""Characters of a text that are read."""
MAX_TAGS = 10
MAX_TAG_CHARACTERS = 40


def item_id(source: str, url_or_title: str) -> str:
    """The id of an item: 32 hexadecimal digits, made from `source` and the item's URL or, without
    one, its title. The same item has the same id."""
    return hashlib.sha256(f"{len(source)}:{source}:{url_or_title}".encode()).hexdigest()[:32]


class NewItem(RequestStruct, frozen=True, kw_only=True):
    """Add one item as its source published it; answered by `ItemReply`. The first item with an id
    stays: adding it again changes nothing and returns the existing one.

    Texts are trimmed, and white space within them becomes a single space; tickers become upper case
    and tags lower case, without duplicates.

    `title` has 1 to 200 characters, `source` 1 to 60; `url` is http or https, at most 1,024 ASCII
    characters; there are at most 20 `tickers`, names of symbols, and 10 `tags` of 1 to 40.
    Without tickers, the cashtags (``$IBM``) of title and text are used. `timestamp` (with its
    offset, at most 10 minutes ahead) is the time of publication, by default now.

    `sentiment` and `score` (from -1, bad, to 1, good) belong together: either is derived from the
    other, and both from title and `text` if neither is given. `text` (its first 1,000 characters)
    is read for that and not stored.

    `id` (1 to 64 printable ASCII characters) makes the item unique for ever; the default is
    `item_id` of source and URL, or of source and title.
    """

    title: str
    source: str
    url: str | None = None
    tickers: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    sentiment: Sentiment | None = None
    score: Decimal | None = None
    text: str = ""
    timestamp: datetime | None = None
    id: str | None = None


class PutItem(NewItem, frozen=True, kw_only=True):
    """Add one item, or correct the one with that id; answered by `ItemReply`.

    A correction replaces all of the content. Without `timestamp` the item keeps its own, and
    without `sentiment` and `score` it keeps these unless its title changes or there is a `text`.
    The same content again changes nothing. A retracted item stays retracted, and is rejected as
    ``not_found``.

    `must_exist`: reject an id that is unknown as ``not_found``. `reason` (up to 200 characters)
    says why it is corrected.
    """

    must_exist: bool = False
    reason: str = ""


class RetractItem(RequestStruct, frozen=True, kw_only=True):
    """Withdraw the item with that id; answered by `ItemReply`. It is in no list and no count any
    more, and cannot be added again. `reason` has up to 200 characters."""

    id: str
    reason: str = ""


class LoadItems(RequestStruct, frozen=True, kw_only=True):
    """Add 1 to 100 items; answered by `LoadReply`. A faulty item is rejected alone; the others are
    added. The request may be repeated."""

    items: tuple[NewItem, ...]


class ListItems(PageRequest, frozen=True, kw_only=True):
    """List items; answered by `ItemsReply`.

    Without `since`, the newest `limit` items (1 to 200), or those before `cursor`. With it, up to
    `limit` items after sequence `since` of the log named `epoch` (both from the `as_of` and `epoch`
    of an earlier reply). With `configuration_id`, only items that match this configuration of
    `user_id`.
    `since` and `cursor` exclude each other.
    """

    limit: int = 50
    since: int | None = None
    epoch: str | None = None
    user_id: UserId | None = None
    configuration_id: str | None = None


class GetMetrics(RequestStruct, frozen=True, kw_only=True):
    """Get the counts of all items; answered by `MetricsReply`."""


class ItemReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The item with that id. `created` is true if this request added it, `changed` if this request
    corrected or retracted it."""

    item: Item
    created: bool
    changed: bool = False


class RejectedItem(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The item at `index` (from 0) of the request is faulty; `path` is the field within it."""

    index: int
    path: str | None
    message: str


class LoadReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The numbers of items that were added and that existed already (or were twice in the request),
    and the rejected ones. Together they are all items of the request."""

    added: int
    there: int
    refused: list[RejectedItem]


class ItemsReply(PageReply, frozen=True, kw_only=True):
    """Items in the order of the log, the newest last. The next request for later items passes
    `as_of` and `epoch` as `since`, one for earlier items passes `next` as `cursor`. A page before a
    cursor may be short or empty although there are earlier items: few items match. `more`: there
    are later ones; ask again at once. `reset`: `since` could not be honoured (another epoch, ahead
    of the log, or trimmed away), and these are the newest items instead. After a `since`, `items`
    has corrected items too, and `retracted` the ids of those that are not to be shown any more."""

    items: list[Item]
    retracted: list[str] = msgspec.field(default_factory=list)
    more: bool = False
    reset: bool = False


class MetricsReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The exact counts as of sequence `as_of` of the log named `epoch`."""

    metrics: Metrics
    as_of: int
    epoch: str


ADD_ITEM = ServiceCall(SERVICE, ADD, NewItem, ItemReply)
LOAD_ITEMS = ServiceCall(SERVICE, LOAD, LoadItems, LoadReply)
PUT_ITEM = ServiceCall(SERVICE, PUT, PutItem, ItemReply)
RETRACT_ITEM = ServiceCall(SERVICE, RETRACT, RetractItem, ItemReply)
LIST_ITEMS = ServiceCall(SERVICE, ITEMS, ListItems, ItemsReply)
GET_METRICS = ServiceCall(SERVICE, METRICS, GetMetrics, MetricsReply)
CALLS = (ADD_ITEM, LOAD_ITEMS, PUT_ITEM, RETRACT_ITEM, LIST_ITEMS, GET_METRICS)
