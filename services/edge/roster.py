"""Who is connected, on all edge processes together: every process knows, and none is asked.

Each process tells the others of a connection that opens or closes, numbers what it tells, and says
now and then how many it has. Who notices a gap asks for the whole list; who hears nothing of a
process for `SILENT_SECONDS` forgets it. So after any loss the rosters agree again within seconds;
meanwhile a limit may be off by what was lost.

`Roster` is the state and what follows from a word: pure, times come in. `roll` (in `rollcall`)
carries the words. Start reading at `Roster.hear`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

SILENT_SECONDS = 15.0
"""A process that says nothing for so long is gone, and its connections with it."""
WHOLE_ENTRIES = 1000
"""Entries of a whole list in one word."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A connection. `at` is when it opened, seconds since 1970; `user` None is somebody who is not
    signed in."""

    client: str
    user: str | None
    at: float


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    instance: str
    number: int
    entry: Entry


class Closed(msgspec.Struct, frozen=True, tag="closed"):
    instance: str
    number: int
    client: str


class Here(msgspec.Struct, frozen=True, tag="here"):
    """Said every few seconds: what the last word's number was, and how many are connected. A
    process that `leaves` sends its clients to the others."""

    instance: str
    number: int
    count: int
    leaves: bool = False


class Whole(msgspec.Struct, frozen=True, tag="whole"):
    """All connections of a process as they were after word `number`, in `parts` words."""

    instance: str
    number: int
    part: int
    parts: int
    entries: list[Entry]
    leaves: bool = False


class Tell(msgspec.Struct, frozen=True, tag="tell"):
    """Asks `instance` for its whole list; None asks everybody."""

    instance: str | None


class Gone(msgspec.Struct, frozen=True, tag="gone"):
    """A process ended, and its connections with it."""

    instance: str


Word = Opened | Closed | Here | Whole | Tell | Gone


class Totals(NamedTuple):
    """What all processes serve together."""

    clients: int
    users: int
    per_user: Mapping[str, int]


class _Other:
    """What is known of another process."""

    __slots__ = ("entries", "heard_at", "leaves", "number", "parts")

    def __init__(self, now: float) -> None:
        self.entries: dict[str, Entry] = {}
        self.number = -1
        self.heard_at = now
        self.leaves = False
        self.parts: dict[int, Whole] = {}


class Roster:
    """Of process `instance`. `on_excess` is called with the ids of this process's own connections
    that must go, because their user has more than `most` and they are the oldest.

    Connections of a process that leaves are not among those that a user may have so many of: each
    is about to be closed, and its client may have opened its successor already.
    """

    def __init__(self, instance: str, most: int, on_excess: Callable[[str], None]) -> None:
        self._instance = instance
        self._most = most
        self._on_excess = on_excess
        self._number = 0
        self._leaves = False
        self._own: dict[str, Entry] = {}
        self._others: dict[str, _Other] = {}
        self._of_user: dict[str, dict[str, Entry]] = {}
        self._anonymous = 0
        self.version = 0
        """Changes whenever the totals may have."""

    def open(self, entry: Entry) -> Opened:
        """This process has a new connection; the word for the others."""
        self._number += 1
        self._own[entry.client] = entry
        self._add(entry)
        self._limit(entry.user)
        return Opened(self._instance, self._number, entry)

    def close(self, client: str) -> Closed | None:
        """A connection of this process is gone."""
        entry = self._own.pop(client, None)
        if entry is None:
            return None
        self._number += 1
        self._remove(entry)
        return Closed(self._instance, self._number, client)

    def leave(self) -> Here:
        """This process begins to send its clients away; the word for the others."""
        self._leaves = True
        return self.here()

    def here(self) -> Here:
        """What to say every few seconds."""
        return Here(self._instance, self._number, len(self._own), self._leaves)

    def whole(self) -> Iterator[Whole]:
        """All of this process's connections."""
        entries = [*self._own.values()]
        parts = max(1, -(-len(entries) // WHOLE_ENTRIES))
        for part in range(parts):
            some = entries[part * WHOLE_ENTRIES : (part + 1) * WHOLE_ENTRIES]
            yield Whole(self._instance, self._number, part, parts, some, self._leaves)

    def hear(self, word: Word, now: float) -> list[Word]:
        """Take a word of another process; what to answer. `now` is a clock in seconds."""
        if isinstance(word, Tell):
            return [*self.whole()] if word.instance in (None, self._instance) else []
        if word.instance == self._instance:
            return []
        if isinstance(word, Gone):
            self._forget(word.instance)
            return []
        other = self._others.get(word.instance)
        if other is None:
            other = self._others[word.instance] = _Other(now)
        other.heard_at = now
        if isinstance(word, Whole):
            self._take_whole(other, word)
            return []
        return self._take(other, word)

    def look(self, now: float) -> None:
        """Forget the processes that are silent."""
        for instance, other in [*self._others.items()]:
            if now - other.heard_at > SILENT_SECONDS:
                self._forget(instance)

    def totals(self) -> Totals:
        """Everybody's connections."""
        per_user = {user: len(entries) for user, entries in self._of_user.items()}
        return Totals(sum(per_user.values()) + self._anonymous, len(per_user), per_user)

    def count(self, user: str) -> int:
        """How many connections `user` has."""
        return len(self._of_user.get(user, ()))

    def _take(self, other: _Other, word: Opened | Closed | Here) -> list[Word]:
        if isinstance(word, Here):
            other.leaves = word.leaves
            right = word.number == other.number and word.count == len(other.entries)
            return [] if right else [Tell(word.instance)]
        if word.number <= other.number:
            return []
        if word.number != other.number + 1:
            return [Tell(word.instance)]
        other.number = word.number
        if isinstance(word, Opened):
            other.entries[word.entry.client] = word.entry
            self._add(word.entry)
            self._limit(word.entry.user)
        elif (entry := other.entries.pop(word.client, None)) is not None:
            self._remove(entry)
        return []

    def _take_whole(self, other: _Other, word: Whole) -> None:
        if word.number < other.number:
            return
        if any(part.number != word.number for part in other.parts.values()):
            other.parts.clear()
        other.parts[word.part] = word
        if len(other.parts) < word.parts:
            return
        for entry in other.entries.values():
            self._remove(entry)
        entries = [entry for part in other.parts.values() for entry in part.entries]
        other.parts = {}
        other.leaves = word.leaves
        other.number = word.number
        other.entries = {entry.client: entry for entry in entries}
        for entry in other.entries.values():
            self._add(entry)
        for user in {entry.user for entry in entries}:
            self._limit(user)

    def _forget(self, instance: str) -> None:
        other = self._others.pop(instance, None)
        if other is not None:
            for entry in other.entries.values():
                self._remove(entry)

    def _add(self, entry: Entry) -> None:
        self.version += 1
        if entry.user is None:
            self._anonymous += 1
        else:
            self._of_user.setdefault(entry.user, {})[entry.client] = entry

    def _remove(self, entry: Entry) -> None:
        self.version += 1
        if entry.user is None:
            self._anonymous -= 1
            return
        of_user = self._of_user.get(entry.user, {})
        of_user.pop(entry.client, None)
        if not of_user:
            self._of_user.pop(entry.user, None)

    def _limit(self, user: str | None) -> None:
        """Every process comes to the same verdict, and each carries out its own part."""
        if user is None:
            return
        staying = self._of_user.get(user, {})
        if len(staying) <= self._most:
            return
        staying = {client: entry for client, entry in staying.items() if not self._going(client)}
        excess = len(staying) - self._most
        if excess > 0:
            for entry in _oldest(staying.values(), excess):
                if entry.client in self._own:
                    self._on_excess(entry.client)

    def _going(self, client: str) -> bool:
        """Whether it is a connection of a process that leaves."""
        if client in self._own:
            return self._leaves
        return any(other.leaves and client in other.entries for other in self._others.values())


def _oldest(entries: Iterable[Entry], number: int) -> list[Entry]:
    return sorted(entries, key=lambda entry: (entry.at, entry.client))[:number]
