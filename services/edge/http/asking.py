"""What a request for a stream asks for, checked: whose, which symbols, how often, from where."""

import contextlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import msgspec

from services.edge.access import Session, Shown
from services.edge.cursor import Cursor, Malformed, parse
from services.edge.feeds import CHOOSABLE, PRICES, Access, Feed, Picks, Topic
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
    path: Mapping[str, str] = {}

    @classmethod
    def of(cls, scope: Any) -> "Ask":
        parsed = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        query = {name: values[-1] for name, values in parsed.items()}
        shown = Shown.of(scope, query)
        headers = {name: values[-1] for name, values in shown.headers.items()}
        path = {name: str(value) for name, value in scope.get("path_params", {}).items()}
        return cls(scope["method"], headers, query, shown, path)

    @property
    def last_event_id(self) -> str | None:
        """Header first, then the two spellings of the query."""
        return (
            self.headers.get("last-event-id")
            or self.query.get("lastEventId")
            or self.query.get("last_event_id")
            or None
        )

    @property
    def succeeds(self) -> bool:
        """Whether the client holds another connection until it hears that this one is live."""
        return self.query.get("handover") == "1"


def owner_of(feed: Feed, ask: Ask, session: Session | None) -> str | None:
    """Whose events are shown. Raises Failure for somebody else's."""
    if session is None:
        return None
    wanted = ask.query.get("userId")
    if feed.picks is not Picks.USER or wanted is None or wanted == session.user_id:
        return session.user_id
    if not session.admin:
        raise Failure(403, "Only an admin may read another user's stream", path="userId")
    if not 0 < len(wanted) <= 128:
        raise Failure(422, "a user id has 1 to 128 characters", path="userId")
    return wanted


def topics_of(feed: Feed, ask: Ask) -> tuple[tuple[Topic, ...], frozenset[str] | None]:
    """The topics of a request, and the symbols among them: ``topics=orders,prices:IBM,prices:SPY``.

    Raises:
        Failure: none, or an unknown one.
    """
    if feed.picks is not Picks.TOPICS:
        return feed.topics, symbols(ask.query.get("symbols"))
    known = ", ".join(sorted(CHOOSABLE))
    chosen: dict[str, Topic] = {}
    wanted: list[str] = []
    everything = False
    for part in ask.query.get("topics", "").split(","):
        name, _, symbol = part.strip().partition(":")
        if not name:
            continue
        if name not in CHOOSABLE or (symbol and name != PRICES.name):
            raise Failure(422, f"there are the topics {known}", path="topics", value=part[:64])
        chosen[name] = CHOOSABLE[name]
        everything |= name == PRICES.name and not symbol
        wanted += [symbol] if symbol else []
    if not chosen:
        raise Failure(422, f"say which topics, of {known}", path="topics")
    return tuple(chosen.values()), None if everything else symbols(",".join(wanted))


def needs_user(feed: Feed, topics: Iterable[Topic]) -> bool:
    """Whether a stream of `topics` is for those who signed in."""
    return feed.access is Access.USER or any(topic.access is Access.USER for topic in topics)


def wants_of(ask: Ask, wanted: frozenset[str] | None) -> Wants:
    """Symbols and rate of the newest-wins values. Raises Failure."""
    return Wants(wanted, _rate(ask.query.get("maxRate")))


def place_of(ask: Ask, name: str) -> Cursor | datetime | None:
    """The place in the query parameter `name`: an id, or a time in ISO 8601, UTC where it says no
    offset. Raises Failure."""
    text = ask.query.get(name)
    if text is None:
        return None
    with contextlib.suppress(Malformed):
        place = parse(text, epoch="")
        if isinstance(place, Cursor) and place.epoch:
            return place
    return _moment(text, name)


def _moment(text: str, name: str) -> datetime:
    try:
        # A plus sign that nobody escaped is a space by now.
        at = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Failure(
            422,
            f"{name} is an id, or a time such as 2026-03-02T14:30:00Z",
            path=name,
            value=text[:40],
        ) from None
    if at.timestamp() < 0:
        raise Failure(422, f"{name} is a time after 1970", path=name, value=text[:40])
    return at


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
