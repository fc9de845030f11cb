"""What wording makes of events, and how texts from elsewhere are kept within bounds."""

from datetime import datetime
from typing import Any

import msgspec

from tapewire.events import RuleKind

MAX_TEXT_CHARACTERS = 300
"""Of a text from elsewhere (a reason, a name) within one of ours."""


class TriggerCandidate(msgspec.Struct, frozen=True):
    """Something that rules of `kind` wait for; `symbol` None where it is about no one symbol."""

    kind: RuleKind
    symbol: str | None
    message: str
    at: datetime


class NotificationContent(msgspec.Struct, frozen=True, kw_only=True):
    """What a user is notified of; `at` is when it happened."""

    type: str
    title: str
    message: str
    payload: dict[str, Any]
    at: datetime


def truncate_line(text: str) -> str:
    """`text` on one line, within bounds."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_TEXT_CHARACTERS else f"{line[:MAX_TEXT_CHARACTERS]}…"
