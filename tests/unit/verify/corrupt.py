"""A log in memory that holds a day, and ways to alter it behind everybody's back."""

import json
from collections.abc import Callable
from typing import Any

from tapewire.events import CODEC
from tapewire.log import Draft, Meta, Recorded, Values, views
from tapewire.log.memory import MemoryLog, MemoryServer, MemoryValues
from tapewire.verify import Difference, Summary, verify
from tapewire.views import View
from tests.tapes import Tape, write

EVENTS = 700


class Forgery:
    """The day, and what `verify` finds in it. `seed` gives another day."""

    def __init__(self, seed: int = 1) -> None:
        self.server = MemoryServer()
        self.log = MemoryLog(self.server)
        self.values = MemoryValues(self.server, stream="VIEWS", prefix="view")
        self.tape = Tape(seed=seed)

    async def write(self, events: int = EVENTS) -> "Forgery":
        """A day with some of everything."""
        for user in self.tape.users:
            self.tape.configuration(user)
            self.tape.rule(user)
            self.tape.rule(user)
            self.tape.strategy(user)
        self.tape.item()
        await write(self.log, self.tape, events)
        return self

    @property
    def events(self) -> list[Recorded]:
        return self.server.journal._events

    def find(self, tag: str, which: Callable[[Any], bool] = lambda _: True) -> int:
        """The sequence of the last event of `tag` whose JSON `which` takes."""
        for recorded in reversed(self.events):
            if recorded.tag.startswith(tag) and which(json.loads(recorded.data)):
                return recorded.sequence
        raise AssertionError(f"this day has no such {tag}")

    def alter(self, sequence: int, **fields: Any) -> None:
        """Store another value in the JSON of an event; ``order__qty`` is ``order.qty``."""
        data = CODEC.decode(self.events[sequence - 1].data, dict[str, Any])
        for path, value in fields.items():
            *folders, name = path.split("__")
            inner = data
            for folder in folders:
                inner = inner[folder]
            assert name in inner, f"{name} is none of {list(inner)}"
            inner[name] = value(inner[name]) if callable(value) else value
        self.replace(sequence, data=CODEC.encode(data))

    def replace(self, sequence: int, **parts: Any) -> None:
        """Store an event with another tag, subject, data or meta."""
        old = self.events[sequence - 1]
        kept = {n: getattr(old, n) for n in ("sequence", "subject", "tag", "data", "meta", "time")}
        self.events[sequence - 1] = Recorded(**{**kept, **parts})

    def again(self, sequence: int, id_: str = "") -> None:
        """Append the event of `sequence` once more, under another id."""
        old = self.events[sequence - 1]
        self._put(old.sequence, Meta(id=id_ or f"{old.meta.id}-again", correlation="c"))

    def _put(self, sequence: int, meta: Meta) -> None:
        old = self.events[sequence - 1]
        self.server.journal.store(
            [Draft(subject=old.place, event=old.event, meta=meta)], [old.data], 0.0, old.time
        )

    def drop(self, sequence: int) -> None:
        """Let an event never have been: what comes later moves up, with all that points at it."""
        journal = self.server.journal
        kept = [one for one in self.events if one.sequence != sequence]
        moved = Forgery()
        for old in kept:
            data = CODEC.decode(old.data, dict[str, Any])
            if data.get("tradeSequence", 0) > sequence:
                data["tradeSequence"] -= 1
            moved.server.journal.store(
                [Draft(subject=old.place, event=old.event, meta=old.meta)],
                [CODEC.encode(data)],
                0.0,
                old.time,
            )
        self.server.journal = moved.server.journal
        self.server.journal.epoch = journal.epoch

    async def keep(self, kind: type[View], owner: str, upto: int | None = None) -> str:
        """Keep the checkpoint of a view, true for `upto`; its key."""
        bounds = await self.log.bounds()
        view = kind()
        for recorded in self.events[:upto]:
            if (recorded.place.owner, recorded.place.domain) == (owner, kind.domain):
                view.apply(recorded.event)
        if upto is not None:
            bounds = type(bounds)(bounds.epoch, bounds.first, upto)
        name = views.name_of(kind)
        await views.save(self.values, owner, name, view, bounds)
        return views.key(owner, name)

    async def verify(
        self, *, user: str | None = None, kept: Any = (), values: Values | None = None
    ) -> tuple[list[Difference], Summary]:
        found: list[Difference] = []
        summary = await verify(self.log, values or self.values, found.append, user=user, kept=kept)
        assert summary.differences == len(found)
        return found, summary

    async def cursor(self, name: str, upto: int | None = None) -> None:
        """Keep the checkpoint of a follower without a state."""
        bounds = await self.log.bounds()
        checkpoint = {"asOf": upto or bounds.last, "epoch": bounds.epoch, "state": None}
        await self.values.put(f"_all.{name}", CODEC.encode(checkpoint))
