"""Requests to the insights service about items (`svc.insights.add`, `load`, `items`, `metrics`) and
its replies. What the same service answers of configurations is in `configurations`.

The service refuses with the codes ``invalid`` (with the field's path as these structs spell it in
JSON: ``title``, ``tickers[3]``, ``score``, ``since``, …) and ``not_found`` (a configuration that is
unknown, or another user's).

A field that a request does not know is refused, for a sentiment under a misspelled name would be
made up by the service without a word. Replies may grow fields.
"""

import hashlib
from datetime import datetime
from decimal import Decimal

import msgspec

from tapewire.events import Item, Metrics, Sentiment
from tapewire.runtime.contracts.request import RequestStruct, UserId
from tapewire.runtime.contracts.service_call import ServiceCall

SERVICE = "insights"
ADD, LOAD, ITEMS, METRICS = "add", "load", "items", "metrics"

MAX_LOADED_ITEMS = 100
"""Items that one `LoadItems` holds at the most."""
MAX_LISTED_ITEMS = 200
"""Items that one `ItemsReply` holds at the most."""
MAX_TITLE_CHARACTERS = 200
MAX_SOURCE_CHARACTERS = 60
MAX_TEXT_CHARACTERS = 1000
"""Characters of a text that are read."""
MAX_TAGS = 10
MAX_TAG_CHARACTERS = 40


def item_id(source: str, url_or_title: str) -> str:
    """The id of the item that `source` knows by `named`, its URL or, without one, its title: 32
    hexadecimal digits. The same item added again has the same id."""
    return hashlib.sha256(f"{len(source)}:{source}:{url_or_title}".encode()).hexdigest()[:32]


class NewItem(RequestStruct, frozen=True, kw_only=True):
    """Put one item, as its source has it, on the tape; answered by `ItemReply`. The first one of an
    id stays as it is: adding it again changes nothing, and is answered with the one that is there.

    Texts are trimmed, and white space within them is made one
    space; tickers become upper case and tags lower case, each kept once.

    `title` has 1 to 200 characters, `source` 1 to 60; `url` is http or https, at most 1,024 ASCII
    characters; at most 20 `tickers` of 1 to 16 ASCII characters and 10 `tags` of 1 to 40. Without
    tickers, the cashtags (``$IBM``) in title and text are taken. `timestamp` (with its offset; at
    most 10 minutes ahead) is when the item was published; without one, now.

    `sentiment` and `score` (-1, bad, to 1, good) go together; either is worked out from the other,
    and both from title and `text` when neither is given. `text` (its first 1,000 characters) is
    read for that and not kept.

    `id` (1 to 64 printable ASCII characters) makes the item unique for ever; without one,
    `item_id` of source and URL, or of source and title, does.
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


class LoadItems(RequestStruct, frozen=True, kw_only=True):
    """Put 1 to 100 items on the tape; answered by `LoadReply`. An item at fault is refused by
    itself; the others are added. Safe to repeat."""

    items: tuple[NewItem, ...]


class ListItems(RequestStruct, frozen=True, kw_only=True):
    """Items; answered by `ItemsReply`.

    Without `since`, the newest `limit` (1 to 200). With it, those after sequence `since` of log
    `epoch` (both from an earlier reply's `as_of` and `epoch`), the oldest first in the log, as many
    as `limit`. With `configuration_id`, only those that this configuration of `user_id` shows.
    """

    limit: int = 50
    since: int | None = None
    epoch: str | None = None
    user_id: UserId | None = None
    configuration_id: str | None = None


class GetMetrics(RequestStruct, frozen=True, kw_only=True):
    """The counts of all items; answered by `MetricsReply`."""


class ItemReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The item of that id. `created` is true when this very request put it there."""

    item: Item
    created: bool


class RejectedItem(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The item at `index` (from 0) of the request is at fault; `path` is the field within it."""

    index: int
    path: str | None
    message: str


class LoadReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many items were added, how many were there already (or twice in the request), and those
    that were refused; together, all of the request."""

    added: int
    there: int
    refused: list[RejectedItem]


class ItemsReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Items in the order of the log, the newest last, as of sequence `as_of` of log `epoch`, which
    the next request gives as `since`. `more`: there are later ones, ask again at once. `reset`:
    `since` could not be honoured (another epoch, ahead of the log, or trimmed away), and these are
    the newest instead."""

    items: list[Item]
    as_of: int
    epoch: str
    more: bool = False
    reset: bool = False


class MetricsReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The counts at sequence `as_of` of log `epoch`, exact."""

    metrics: Metrics
    as_of: int
    epoch: str


ADD_ITEM = ServiceCall(SERVICE, ADD, NewItem, ItemReply)
LOAD_ITEMS = ServiceCall(SERVICE, LOAD, LoadItems, LoadReply)
LIST_ITEMS = ServiceCall(SERVICE, ITEMS, ListItems, ItemsReply)
GET_METRICS = ServiceCall(SERVICE, METRICS, GetMetrics, MetricsReply)
CALLS = (ADD_ITEM, LOAD_ITEMS, LIST_ITEMS, GET_METRICS)
