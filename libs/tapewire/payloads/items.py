"""Analysed items, their figures, and notifications."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from tapewire.events import Sentiment


class ItemView(msgspec.Struct, frozen=True, kw_only=True):
    """An analysed item; `score` is from -1 (bad) to 1 (good)."""

    id: str
    title: str
    source: str
    url: str | None
    tickers: tuple[str, ...]
    tags: tuple[str, ...]
    sentiment: Sentiment
    score: Decimal
    timestamp: datetime


class RetractedItemView(msgspec.Struct, frozen=True, kw_only=True):
    """The id of an item that was withdrawn, and why, as far as its publisher says."""

    id: str
    reason: str


class ItemRates(msgspec.Struct, frozen=True, kw_only=True):
    """Items published in the last 60 minutes and 24 hours, and that day's mean per hour."""

    last_hour: int
    last_day: int
    per_hour: Decimal


class MetricsPayload(msgspec.Struct, frozen=True, kw_only=True):
    """Counts over all items. `tags` has the most frequent tags in descending order; `other_tags`
    is the number of further tags."""

    total: int
    positive: int
    neutral: int
    negative: int
    tags: dict[str, int]
    other_tags: int
    rates: ItemRates
    timestamp: datetime


class NotificationView(msgspec.Struct, frozen=True, kw_only=True):
    """A notification as clients see it, in snake_case."""

    id: str
    type: str
    title: str
    message: str
    payload: dict[str, Any]
    is_read: bool
    created_at: datetime


class NotificationsReadPayload(msgspec.Struct, frozen=True, kw_only=True):
    """Notifications that were read on another screen; None means all existing ones."""

    ids: tuple[str, ...] | None
    timestamp: datetime


class UnreadCountPayload(msgspec.Struct, frozen=True, kw_only=True):
    """The number of notifications that the user has not read."""

    unread: int
    timestamp: datetime
