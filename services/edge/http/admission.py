"""Whether a stream opens, and which: everything that has a status is decided here, before the first
byte."""

import contextlib
import time
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import structlog

from services.edge.access import Arrival, Entrance, listed_networks
from services.edge.connection import Opening
from services.edge.cursor import Cursor, Malformed, parse
from services.edge.feeds import Feed, Interest, Picks, interest
from services.edge.follow import Tape
from services.edge.http.asking import Ask, needs_user, owner_of, place_of, topics_of, wants_of
from services.edge.http.errors import Failure, unauthorized, unavailable
from services.edge.lanes import Wants
from services.edge.limits import Wait, client_address, counted_as
from services.edge.picking import Unknown, pick
from services.edge.selection import OneStrategy, Selection
from tapewire.log import EventLog, LogError
from tapewire.runtime import Settings

logger = structlog.get_logger("edge.admission")


class Admitted(NamedTuple):
    """What was decided on before a stream opens; `requested` is the id that it resumes from,
    `cookie` what the answer sets."""

    opening: Opening
    wants: Wants
    requested: str | None
    cookie: str | None


class Over(Exception):
    """The past that was asked for has been seen whole: 204, which ends an EventSource."""


class Admission:
    """What decides on a process's streams. `attempt` counts one of an address, or says how long it
    has to wait."""

    def __init__(
        self,
        *,
        log: EventLog,
        tape: Tape,
        entrance: Entrance,
        attempt: Callable[[str], Wait | None],
        settings: Settings,
    ) -> None:
        self._log = log
        self._tape = tape
        self._entrance = entrance
        self._settings = settings
        self._attempt = attempt
        self._proxies = listed_networks(settings.trusted_proxies, "TAPEWIRE_TRUSTED_PROXIES")
        self._last_stamp = 0

    async def admit(self, feed: Feed, ask: Ask, correlation: str) -> Admitted:
        """Decide on everything that has a status; late on who it is, since that spends tickets.

        Raises:
            Failure, LogError, KeysAway, Over: there will be no stream.
        """
        if ask.method != "GET":
            raise Failure(
                405, f"{ask.method} is not for streams", headers={"Allow": "GET, OPTIONS"}
            )
        self._count(ask)
        topics, symbols = topics_of(feed, ask)
        wanted = interest(topics)
        wants = wants_of(ask, symbols)
        if wanted.lossless and not self._tape.ready.is_set():
            raise unavailable("The event log is away; connect again")
        arrival = await self._arrive(ask)
        session = arrival.session
        if session is None and needs_user(feed, topics):
            raise unauthorized()
        owner = owner_of(feed, ask, session)
        selection = await self._picked(feed, ask, owner)
        if isinstance(selection, OneStrategy):
            wants = Wants(frozenset({selection.strategy.symbol}), wants.rate)
        requested, until = await self._interval(ask, wanted)
        opening = Opening(
            client=self._client(owner, feed),
            feed=feed,
            owner=owner,
            correlation=correlation,
            interest=wanted,
            user=session.user_id if session else None,
            admin=session.admin if session else False,
            session=session.key if session else None,
            expires_at=session.expires_at if session else None,
            selection=selection,
            until=until,
            succeeds=ask.succeeds,
        )
        return Admitted(opening, wants, requested, arrival.cookie)

    async def _picked(self, feed: Feed, ask: Ask, owner: str | None) -> Selection | None:
        """What the path names. Raises Failure (404)."""
        if feed.picks not in (Picks.STRATEGY, Picks.CONFIGURATION) or owner is None:
            return None
        [id_] = ask.path.values()
        try:
            return await pick(self._log, feed, owner, id_)
        except Unknown as unknown:
            raise Failure(404, str(unknown)) from unknown

    async def _interval(self, ask: Ask, wanted: Interest) -> tuple[str | None, int | None]:
        """The id to resume from, and the sequence to end at: of the last id, or of the places that
        `since` and `until` name. Raises Failure, LogError or Over."""
        requested = ask.last_event_id
        since, until = place_of(ask, "since"), place_of(ask, "until")
        if (since is not None or until is not None) and not wanted.lossless:
            path = "since" if since is not None else "until"
            raise Failure(422, "this stream has no past", path=path)
        if isinstance(since, datetime) and isinstance(until, datetime) and until < since:
            raise Failure(422, "until is before since", path="until", value=ask.query["until"][:40])
        if requested is None and since is not None:
            requested = _id_of(since)
        if until is None:
            return requested, None
        if requested is None:
            raise Failure(422, "until needs a since, or a last event id", path="until")
        end = await self._end(until)
        if self._seen(requested, end):
            raise Over
        return requested, end

    async def _end(self, until: Cursor | datetime) -> int:
        """The last sequence up to there. Raises Failure (422) or LogError."""
        if isinstance(until, datetime):
            return await self._log.before(until)
        bounds = await self._log.bounds()
        if until.epoch != bounds.epoch or until.sequence > bounds.last:
            raise Failure(422, "there is no such place in the log", path="until", value=str(until))
        return until.sequence

    def _seen(self, requested: str, end: int) -> bool:
        epoch = self._tape.epoch
        with contextlib.suppress(Malformed):
            place = parse(requested, epoch=epoch)
            return isinstance(place, Cursor) and place.epoch == epoch and place.sequence >= end
        return False

    def _count(self, ask: Ask) -> None:
        """Count an attempt of the client's address. Raises Failure (429)."""
        forwarded = ",".join(ask.shown.headers.get("x-forwarded-for", ()))
        address = counted_as(client_address(ask.shown.peer, forwarded, self._proxies))
        wait = self._attempt(address)
        if wait is None:
            return
        if wait.first:
            # An address for everybody is what a proxy looks like that is not listed.
            logger.warning("too many streams", address=address, through_proxy=bool(forwarded))
        raise Failure(
            429,
            f"More than {self._settings.connect_rate} new streams a minute from one address",
            headers={"Retry-After": str(wait.seconds)},
        )

    async def _arrive(self, ask: Ask) -> Arrival:
        try:
            return await self._entrance.arrive(ask.shown)
        except LogError as error:
            raise unavailable("Sessions cannot be looked up now; connect again") from error

    def _client(self, owner: str | None, feed: Feed) -> str:
        """``{userId}-{stream}-{timestamp}``: in microseconds, and never given twice."""
        self._last_stamp = max(self._last_stamp + 1, time.time_ns() // 1000)
        return f"{owner or 'anonymous'}-{feed.name}-{self._last_stamp}"


def _id_of(since: Cursor | datetime) -> str:
    """The id to resume from: of a time, in the form of an older system, which resumes by time."""
    if isinstance(since, datetime):
        return f"{int(since.timestamp() * 1000):013d}-0"
    return str(since)
