"""One client's history against the truth. Start at `check`."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tapewire.log import EVERYBODY
from tests.history.truth import DOMAINS, Epoch, Log, Shown
from tests.history.words import Connect, Entry, Frame, Kind, Wrong

WITHOUT_ID = frozenset(
    {"connected", "stream:reset", "stream:draining", "auth:expired", "position:update"}
)
REQUESTED_SHOWN = 64
"""Characters of a bad id that a reset repeats."""

_ID = re.compile(r"([a-z][a-z0-9]{0,23})-(\d{1,19})")


class _Place(msgspec.Struct, frozen=True):
    epoch: str
    sequence: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.sequence}"


class _Snapshot(msgspec.Struct):
    snapshot: bool = False
    orders: list[msgspec.Raw] = []


class _Reset(msgspec.Struct, rename="camel"):
    reason: str
    requested_id: str
    first_available_id: str


class _Connected(msgspec.Struct, rename="camel"):
    user_id: str | None


_snapshot = msgspec.json.Decoder(_Snapshot)
_reset = msgspec.json.Decoder(_Reset)
_connected = msgspec.json.Decoder(_Connected)
_any = msgspec.json.Decoder(float_hook=Decimal)


def check(
    log: Log,
    owner: str,
    history: Sequence[Entry],
    *,
    complete: bool = True,
    replay_limit: int | None = None,
    domains: frozenset[str] = DOMAINS,
) -> list[Wrong]:
    """All deviations in one client's `history`.

    `domains` are what the stream shows of the owner's own events. `complete` says that everything
    had time to arrive; `replay_limit` is how many events of an owner a replay may have, so that a
    reset with the reason `limit` can be judged (None: none may).
    """
    client = _Client(log, owner, replay_limit, domains)
    for at, entry in enumerate(history):
        client.take(at, entry)
    if complete:
        client.end(len(history))
    return client.wrong


class _Client:
    """Where one client is: after `place`, or waiting for a snapshot."""

    def __init__(
        self, log: Log, owner: str, replay_limit: int | None, domains: frozenset[str]
    ) -> None:
        self._domains = domains
        self._log = log
        self._owner = owner
        self._replay_limit = replay_limit
        self._at = 0
        self._requested: str | None = None
        self._place: _Place | None = None
        self._begun = 0
        self._delivered: set[int] = set()
        self._fresh = True
        self._excused = False
        self._connecting = False
        self._moved = False
        self.wrong: list[Wrong] = []

    def take(self, at: int, entry: Entry) -> None:
        self._at = at
        if isinstance(entry, Connect):
            self._connect(entry)
        elif entry.id is not None:
            self._with_id(entry, entry.id)
        else:
            self._without_id(entry)

    def end(self, at: int) -> None:
        self._at = at
        newest = self._log.newest
        if self._place is None or self._fresh:
            self._say(Kind.BEHIND, f"no snapshot came; last asked for {self._requested}")
        elif self._place.epoch != newest.name:
            self._say(Kind.BEHIND, f"at {self._place}, and the log is {newest.name} now")
        elif missing := newest.between(
            self._owner, self._place.sequence, newest.last + 1, self._domains
        ):
            self._say(Kind.BEHIND, f"at {self._place}, without {_few(missing)}")

    def _say(self, kind: Kind, what: str) -> None:
        self.wrong.append(Wrong(kind, self._at, what))

    def _connect(self, connect: Connect) -> None:
        self._requested = connect.requested
        self._place = None if connect.requested is None else self._named(connect.requested)
        self._delivered.clear()
        self._begun = 0 if self._place is None else self._place.sequence
        self._fresh = self._excused = connect.requested is None
        self._connecting = True
        self._moved = False

    def _named(self, text: str) -> _Place | None:
        """The place that an id names; a bare sequence is one in the newest epoch."""
        if found := _ID.fullmatch(text):
            return _Place(found[1], int(found[2]))
        return _Place(self._log.newest.name, int(text)) if text.isdecimal() else None

    def _without_id(self, frame: Frame) -> None:
        if self._connecting != (frame.name == "connected"):
            self._say(Kind.OPENING, f"{frame.name} where `connected` belongs, or the reverse")
        self._connecting = False
        if frame.name == "connected":
            user = _connected.decode(frame.data).user_id
            if user != self._owner:
                self._say(Kind.FOREIGN, f"connected as {user!r}, not {self._owner!r}")
        elif frame.name == "stream:reset":
            self._reset(_reset.decode(frame.data))
        elif frame.name not in WITHOUT_ID:
            self._say(Kind.BAD_ID, f"{frame.name} without an id: {_short(frame.data)}")

    def _reset(self, reset: _Reset) -> None:
        if not self._is_ours(reset.requested_id):
            at = self._place if self._moved else self._requested
            self._say(Kind.UNFOUNDED, f"of {reset.requested_id!r}, but the client is at {at}")
        elif not self._founded(reset):
            why = f"{reset.reason!r} of {reset.requested_id}: {self._facts()}"
            self._say(Kind.UNFOUNDED, why)
        self._fresh = self._excused = True

    def _is_ours(self, text: str) -> bool:
        """Whether a reset's id is what this connection asked for; or later where the client is, or
        a place after that with nothing between."""
        if not self._moved and text == (self._requested or "")[:REQUESTED_SHOWN]:
            return True
        named, place = self._named(text), self._place
        if named is None or place is None or named.epoch != place.epoch:
            return False
        epoch = self._log.epochs.get(place.epoch)
        if epoch is None:
            return False
        between = epoch.between(self._owner, place.sequence, named.sequence + 1, self._domains)
        return named.sequence >= place.sequence and not between

    def _founded(self, reset: _Reset) -> bool:
        place = self._place
        if place is None:
            return reset.reason == "malformed" and self._requested is not None
        epoch = self._log.epochs.get(place.epoch)
        if reset.reason == "epoch" or epoch is None:
            return reset.reason == "epoch" and place.epoch != self._log.newest.name
        if reset.reason == "ahead":
            return place.sequence > epoch.last
        if reset.reason == "trimmed":
            return place.sequence + 1 < epoch.first
        if reset.reason == "limit" and self._replay_limit is not None:
            return epoch.later(self._owner, place.sequence) > self._replay_limit
        return False

    def _facts(self) -> str:
        return ", ".join(
            f"{epoch.name} has {epoch.first} to {epoch.last}" for epoch in self._log.epochs.values()
        )

    def _with_id(self, frame: Frame, id_: str) -> None:
        found = _ID.fullmatch(id_)
        epoch = self._log.epochs.get(found[1]) if found else None
        if found is None or epoch is None:
            self._say(Kind.BAD_ID, f"{frame.name} with the id {id_!r}")
            return
        if self._connecting:
            self._say(Kind.OPENING, f"{frame.name} before `connected`")
            self._connecting = False
        to = _Place(found[1], int(found[2]))
        if frame.name == "order:update" and frame.data.startswith(b'{"snapshot":true,'):
            self._take_snapshot(frame, epoch, to)
        elif self._fresh:
            self._say(Kind.NO_SNAPSHOT, f"{frame.name} {to} before any snapshot")
        elif self._place is None or to.epoch != self._place.epoch:
            self._say(Kind.SILENT, f"{frame.name} {to} after {self._place or self._requested}")
        else:
            self._advance(frame, epoch, self._place.sequence, to)
        self._place = to
        self._moved = True
        self._fresh = self._excused = False

    def _take_snapshot(self, frame: Frame, epoch: Epoch, to: _Place) -> None:
        before = self._place
        if not self._excused:
            self._say(Kind.SILENT, f"a snapshot {to} after {before or self._requested}")
        elif (
            before is not None
            and before.epoch == to.epoch
            and (to.sequence < before.sequence <= epoch.last)
        ):
            self._say(Kind.BACK, f"a snapshot {to} after {before}")
        if to.sequence > epoch.last:
            self._say(Kind.FOREIGN, f"a snapshot {to}, but the log ends at {epoch.last}")
        told = [bytes(order) for order in _snapshot.decode(frame.data).orders]
        wanted = epoch.fold(self._owner, to.sequence)
        if told != wanted and [*map(_json, told)] != [*map(_json, wanted)]:
            self._say(Kind.SNAPSHOT, f"{to}: {_difference(told, wanted)}")
        self._delivered.clear()
        self._begun = to.sequence

    def _advance(self, frame: Frame, epoch: Epoch, after: int, to: _Place) -> None:
        sequence = to.sequence
        if frame.name == "checkpoint":
            if sequence <= after:
                self._say(Kind.BACK, f"checkpoint {to} after {after}")
            sequence += 1
        else:
            self._compare(frame, epoch.at(sequence), to)
        if missing := epoch.between(self._owner, after, sequence, self._domains):
            self._say(Kind.GAP, f"{to} after {after}, without {_few(missing)}")
        if frame.name != "checkpoint":
            if sequence <= after:
                known = sequence in self._delivered or sequence <= self._begun
                kind = Kind.DUPLICATE if known else Kind.REORDERED
                self._say(kind, f"{frame.name} {to} after {after}")
            self._delivered.add(sequence)

    def _compare(self, frame: Frame, event: Shown | None, to: _Place) -> None:
        if event is None:
            self._say(Kind.FOREIGN, f"{frame.name} {to}: the log has no such event")
        elif event.owner not in (self._owner, EVERYBODY):
            self._say(Kind.FOREIGN, f"{frame.name} {to} is of {event.owner!r}")
        elif frame.name != event.name:
            self._say(Kind.CONTENT, f"{to} is {event.name or 'not shown'}, not {frame.name}")
        elif event.domain not in self._domains and event.owner != EVERYBODY:
            self._say(Kind.CONTENT, f"{to} is of {event.domain}, which this stream does not show")
        elif event.name == "position:update":
            self._compare_position(frame, event, to)
        elif frame.data != event.data and _json(frame.data) != _json(event.data):
            told, wanted = _short(frame.data), _short(event.data)
            self._say(Kind.CONTENT, f"{to} says {told}, the log {wanted}")

    def _compare_position(self, frame: Frame, event: Shown, to: _Place) -> None:
        """What hangs on a price is of the moment of telling."""
        [told] = _json(frame.data)["positions"]
        held = _json(event.data)
        wanted = (held["symbol"], held["quantity"], held["entryPrice"], held["realizedPnl"])
        if (told["symbol"], told["quantity"], told["entryPrice"], told["realizedPnL"]) != wanted:
            self._say(Kind.CONTENT, f"{to} says {told}, the log {wanted}")


def _json(data: bytes) -> Any:
    return _any.decode(data)


def _few(sequences: Sequence[int]) -> str:
    more = f" and {len(sequences) - 5} more" if len(sequences) > 5 else ""
    return ", ".join(map(str, sequences[:5])) + more


def _short(data: bytes) -> str:
    text = data.decode(errors="replace")
    return text if len(text) <= 120 else f"{text[:117]}..."


def _difference(told: list[bytes], wanted: list[bytes]) -> str:
    extra = [_short(order) for order in told if order not in wanted]
    lost = [_short(order) for order in wanted if order not in told]
    counts = f"{len(told)} orders, not {len(wanted)}"
    return (
        f"{counts}; too many: {extra[:1]}; missing: {lost[:1]}"
        if extra or lost
        else (f"{counts}, in another order")
    )
