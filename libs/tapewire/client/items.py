"""The client's calls for items: news, posts and notes, which every user sees.

They are requests to the insights service, which validates and scores items. Start at
`ItemPublisher`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict, TypeVar, Unpack

import msgspec

from tapewire.client import validation
from tapewire.client.errors import InvalidArgument
from tapewire.client.event_builders import check_arguments
from tapewire.events import Item, Sentiment
from tapewire.runtime.contracts import ServiceCall, insights
from tapewire.values import Number

Q = TypeVar("Q", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)


class _RequiredItemArguments(TypedDict):
    title: str
    source: str


class ItemArguments(_RequiredItemArguments, total=False):
    """The content of an item, as in `tapewire.contracts.insights.NewItem`. `score` is from -1 to 1.
    `reason` says why a stored item is corrected."""

    url: str | None
    tickers: Sequence[str]
    tags: Sequence[str]
    sentiment: Sentiment | str | None
    score: Number | None
    text: str
    timestamp: datetime | None
    reason: str


class ItemPublisher(ABC):
    """The calls."""

    @abstractmethod
    async def request(self, call: ServiceCall[Q, R], request: Q, /) -> R: ...

    async def publish_item(
        self, *, item_id: str | None = None, **arguments: Unpack[ItemArguments]
    ) -> Item:
        """Add an item, or correct the one with that id, and return it. The same content again
        changes nothing. Without `item_id` the source and the URL, or the title, make it unique.

        Raises:
            CommandRejected: `invalid`, with the path of the field, or `not_found`: the item was
                retracted.
            RequestTimeout: No service answered.
        """
        return await self._put_item("publish_item", item_id, arguments, must_exist=False)

    async def correct_item(self, item_id: str, **arguments: Unpack[ItemArguments]) -> Item:
        """Replace the content of a stored item. Raises as `publish_item`; an unknown id is
        `not_found`."""
        return await self._put_item("correct_item", item_id, arguments, must_exist=True)

    async def retract_item(self, item_id: str, *, reason: str = "") -> Item:
        """Withdraw an item: it is in no list and no count any more. Raises as `publish_item`."""
        request = insights.RetractItem(id=item_id, reason=reason)
        return (await self.request(insights.RETRACT_ITEM, request)).item

    async def _put_item(
        self,
        method_name: str,
        id_: str | None,
        arguments: ItemArguments,
        *,
        must_exist: bool,
    ) -> Item:
        check_arguments(method_name, ItemArguments, arguments)
        score, sentiment = arguments.get("score"), arguments.get("sentiment")
        timestamp = arguments.get("timestamp")
        request = insights.PutItem(
            id=id_,
            must_exist=must_exist,
            title=arguments["title"],
            source=arguments["source"],
            url=arguments.get("url"),
            tickers=tuple(arguments.get("tickers", ())),
            tags=tuple(arguments.get("tags", ())),
            sentiment=None if sentiment is None else _parse_sentiment(sentiment),
            score=None if score is None else validation.validate_number("score", score),
            text=arguments.get("text", ""),
            timestamp=None
            if timestamp is None
            else validation.validate_timestamp("timestamp", timestamp),
            reason=arguments.get("reason", ""),
        )
        return (await self.request(insights.PUT_ITEM, request)).item


def _parse_sentiment(value: Sentiment | str) -> Sentiment:
    try:
        return Sentiment(value)
    except ValueError:
        words = ", ".join(one.value for one in Sentiment)
        raise InvalidArgument("sentiment", value, f"must be one of {words}") from None
