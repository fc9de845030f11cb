"""What outlives the processes: one stored stream of events, the values, the durable reactions.

Give the same `MemoryServer` to the logs of "processes" that come and go. Everything here happens
at once, in one step of the loop; what takes time or goes wrong is in `connection`.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from tapewire.log.memory.connection import Connection, Feed
from tapewire.log.memory.journal import Journal, indexed, keys
from tapewire.log.memory.reactions import Reaction
from tapewire.log.port import Draft, Recorded
from tapewire.log.subjects import matches

ACK_SECONDS = 30.0
"""After this long without an acknowledgement an event is handed out again."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryServer:
    """A server in memory. `now` gives the times that events are stamped with."""

    def __init__(self, now: Callable[[], datetime] = utc_now, ack: float = ACK_SECONDS) -> None:
        self._now = now
        self._incarnation = 1
        self._connections: list[Connection] = []
        self._feeds: dict[str, list[Feed[Recorded]]] = {}
        self._value_feeds: dict[str, list[Feed[tuple[str, bytes]]]] = {}
        self.up = True
        self.ack = ack
        self.journal = Journal("m1")
        self.values: dict[str, dict[str, list[bytes]]] = {}
        """By store, then by key: the newest value first, then the one that it replaced."""
        self.reactions: dict[str, Reaction] = {}

    def attach(self, connection: Connection) -> None:
        self._connections.append(connection)

    def detach(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)

    def append(self, drafts: Sequence[Draft], payloads: Sequence[bytes]) -> int:
        """Admit, store and send to whoever listens; the sequence of the last one.

        Raises:
            Conflict, AlreadyStored: nothing was stored.
        """
        at = asyncio.get_running_loop().time()
        self.journal.admit(drafts, at)
        for recorded in self.journal.store(drafts, payloads, at, self._now()):
            for feed in self._listening(recorded.subject):
                feed.offer(recorded)
        self.wake()
        return self.journal.last

    def _listening(self, subject: str) -> list[Feed[Recorded]]:
        feeds = [*self._feeds.get("ev.>", ())]
        for key in keys(subject):
            feeds += self._feeds.get(key, ())
        for filter_, others in self._feeds.items():
            if filter_ != "ev.>" and not indexed(filter_) and matches(filter_, subject):
                feeds += others
        return feeds

    def listen(self, filter_: str, feed: Feed[Recorded]) -> None:
        """Send what `filter_` takes to `feed` from now on."""
        self._feeds.setdefault(filter_, []).append(feed)

    def ignore(self, filter_: str, feed: Feed[Recorded]) -> None:
        """The opposite of `listen`."""
        feeds = self._feeds.get(filter_, [])
        if feed in feeds:
            feeds.remove(feed)
        if not feeds:
            self._feeds.pop(filter_, None)

    def put(self, store: str, key: str, data: bytes, *, ttl: int | None = None) -> None:
        """Store a value, for `ttl` seconds or for good, and send it to whoever listens."""
        kept = self.values.setdefault(store, {})
        kept[key] = [data, *kept.get(key, ())[:1]]
        for feed in self._value_feeds.get(store, ()):
            feed.offer((key, data))
        if ttl is not None:
            asyncio.get_running_loop().call_later(ttl, self._expire, store, key, kept[key])

    def _expire(self, store: str, key: str, value: list[bytes]) -> None:
        if self.values[store].get(key) is value:
            del self.values[store][key]

    def take(self, store: str, key: str) -> bytes | None:
        """The newest value of `key`, removed; None when there is none."""
        kept = self.values.get(store, {}).pop(key, None)
        return None if kept is None else kept[0]

    def listen_values(self, store: str, feed: Feed[tuple[str, bytes]]) -> None:
        """Send the values of `store` to `feed` from now on."""
        self._value_feeds.setdefault(store, []).append(feed)

    def ignore_values(self, store: str, feed: Feed[tuple[str, bytes]]) -> None:
        """The opposite of `listen_values`."""
        if feed in self._value_feeds.get(store, ()):
            self._value_feeds[store].remove(feed)

    def reaction(self, name: str, filter_: str) -> Reaction:
        """The durable reaction of that name, made when it is not there yet."""
        if name not in self.reactions:
            self.reactions[name] = Reaction(self, filter_)
        return self.reactions[name]

    def stop(self) -> None:
        """Go away: every connection breaks."""
        if self.up:
            self.up = False
            for connection in [*self._connections]:
                connection.cut()

    def start(self) -> None:
        """Be there again, with all that was stored."""
        if not self.up:
            self.up = True
            for connection in [*self._connections]:
                connection.mend()

    def outage(self, seconds: float) -> None:
        """Be away for `seconds`; nothing when away already."""
        if self.up:
            self.stop()
            asyncio.get_running_loop().call_later(seconds, self.start)

    def recreate(self) -> None:
        """Lose the log, as when its stream is deleted and made anew: another epoch, from 1."""
        self._incarnation += 1
        self.journal = Journal(f"m{self._incarnation}")
        for reaction in self.reactions.values():
            reaction.begin_again()

    def trim(self, upto: int) -> None:
        """Forget the events up to and including `upto`."""
        self.journal.trim(upto)

    def wake(self) -> None:
        """Hand out what reactions wait for."""
        for reaction in self.reactions.values():
            reaction.wake()
