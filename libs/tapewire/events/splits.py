"""Splits of a symbol's shares: one share becomes ten, or ten become one.

A split is stored once in each of `SPLIT_DOMAINS`, in one atomic batch, as an erasure is: whoever
follows a domain meets the split exactly where it belongs among the domain's events. Orders,
positions, strategies and rules then have an event each that says what became of them.
"""

from datetime import datetime
from typing import Annotated

import msgspec

from tapewire.events.catalogue import Event, event
from tapewire.events.fields import UTC_TIME, about

SPLITS_DOMAIN = "splits"
SPLIT_DOMAINS = (SPLITS_DOMAIN, "orders", "trades", "strategies", "rules")
"""The domains that a split is stored in. The first one has nothing else."""


class SplitRatio(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`shares` shares take the place of `for_shares`."""

    shares: Annotated[int, about("the shares after it")]
    for_shares: Annotated[int, about("the shares that they take the place of")]


@event("split.executed", subject="ev._all.{domain}.{symbol}")
class SplitExecuted(Event, frozen=True, kw_only=True):
    """The shares of `symbol` are split. Quantities before it count `ratio` times from here on, and
    prices so much less. Quotes that the market stream held before are of the old shares."""

    split_id: Annotated[str, about("its id, the key of idempotency")]
    symbol: Annotated[str, about("whose shares")]
    ratio: Annotated[SplitRatio, about("how many shares take the place of how many")]
    number: Annotated[int, about("counts the splits of the symbol, from 1")]
    quotes_epoch: Annotated[str, about("the name of the market stream at that time")]
    quotes_sequence: Annotated[int, about("the last sequence of the market stream at that time")]
    timestamp: Annotated[datetime, about("when it took effect", UTC_TIME)]
