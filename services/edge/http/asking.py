"""What a request for a stream asks for, checked: whose, which symbols, how often, from where."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec

from services.edge.access import Session, Shown
from services.edge.feeds import Feed
from services.edge.follow import MOST_RATE
from services.edge.http.errors import Failure
from services.edge.lanes import Wants

MOST_SYMBOLS = 500
MOST_SYMBOL_CHARACTERS = 32
LEAST_RATE = 0.1


class Ask(msgspec.Struct, frozen=True):
    """A request for a stream, as far as HTTP goes."""

    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    shown: Shown

    @classmethod
    def of(cls, scope: Any) -> "Ask":
        parsed = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        query = {name: values[-1] for name, values in parsed.items()}
        shown = Shown.of(scope, query)
        headers = {name: values[-1] for name, values in shown.headers.items()}
        return cls(scope["method"], headers, query, shown)

    @property
    def last_event_id(self) -> str | None:
        """Header first, then the two spellings of the query."""
        return (
            self.headers.get("last-event-id")
            or self.query.get("lastEventId")
            or self.query.get("last_event_id")
            or None
        )


def owner_of(feed: Feed, ask: Ask, session: Session | None) -> str | None:
    """Whose events are shown. Raises Failure for somebody else's."""
    if session is None:
        return None
    wanted = ask.query.get("userId")
    if not feed.takes_user or wanted is None or wanted == session.user_id:
        return session.user_id
    if not session.admin:
        raise Failure(403, "Only an admin may read another user's stream", path="userId")
    if not 0 < len(wanted) <= 128:
        raise Failure(422, "a user id has 1 to 128 characters", path="userId")
    return wanted


def wants_of(ask: Ask) -> Wants:
    """Symbols and rate of a newest-wins stream. Raises Failure."""
    return Wants(symbols(ask.query.get("symbols")), _rate(ask.query.get("maxRate")))


def symbols(text: str | None) -> frozenset[str] | None:
    """Comma-separated symbols, trimmed and upper-cased; None (all) when there are none.

    Raises:
        Failure: too many, or one too long.
    """
    if text is None:
        return None
    parts = [part.strip().upper() for part in text.split(",")]
    found = frozenset(part for part in parts if part)
    if len(found) > MOST_SYMBOLS:
        raise Failure(422, f"{len(found)} symbols, at most {MOST_SYMBOLS}", path="symbols")
    for symbol in found:
        if len(symbol) > MOST_SYMBOL_CHARACTERS:
            raise Failure(
                422, f"a symbol has at most {MOST_SYMBOL_CHARACTERS} characters", path="symbols"
            )
    return found or None


def _rate(text: str | None) -> float:
    if text is None:
        return MOST_RATE
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise Failure(
            422,
            f"maxRate is a number from {LEAST_RATE:g} to {MOST_RATE:g} updates a second",
            path="maxRate",
            value=text[:32],
        )
    return rate
