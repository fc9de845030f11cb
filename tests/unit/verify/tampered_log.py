"""An in-memory log with a synthetic day of events, and functions that tamper with it."""

import json
from collections.abc import Callable
from typing import Any

from tapewire.events import CODEC
from tapewire.log import (
    EventDraft,
    EventMetadata,
    LatestValueStore,
    RecordedEvent,
    view_checkpoints,
)
from tapewire.log.checkpoint import checkpoint_key, shared_checkpoint_key, write_checkpoint
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.log.view_checkpoints import View, ViewType
from tapewire.verify import VerificationDifference, VerificationSummary, verify
from tests.harness.synthetic_log import SyntheticLog, append_synthetic_log

DEFAULT_EVENT_COUNT = 700


class TamperedLog:
    """A log of a synthetic day, which depends on `seed`."""

    def __init__(self, seed: int = 1) -> None:
        self.server = MemoryServer()
        self.log = MemoryEventLog(self.server)
        self.values = MemoryLatestValueStore(self.server, stream="VIEWS", prefix="view")
        self.generator = SyntheticLog(seed=seed)

    async def write_events(self, event_count: int = DEFAULT_EVENT_COUNT) -> "TamperedLog":
        """Append a day that contains every kind of event."""
        for user in self.generator.users:
            self.generator.add_configuration(user)
            self.generator.add_alert_rule(user)
            self.generator.add_alert_rule(user)
            self.generator.add_strategy(user)
        self.generator.add_item()
        await append_synthetic_log(self.log, self.generator, event_count)
        return self

    @property
    def events(self) -> list[RecordedEvent]:
        return self.server.journal._events

    def find_sequence(self, tag: str, predicate: Callable[[Any], bool] = lambda _: True) -> int:
        """Return the sequence of the last event of `tag` whose JSON satisfies `predicate`."""
        for recorded in reversed(self.events):
            if recorded.tag.startswith(tag) and predicate(json.loads(recorded.data)):
                return recorded.sequence
        raise AssertionError(f"this day has no such {tag}")

    def alter_fields(self, sequence: int, **fields: Any) -> None:
        """Store another value in the JSON of an event; ``order__qty`` is ``order.qty``."""
        data = CODEC.decode(self.events[sequence - 1].data, dict[str, Any])
        for path, value in fields.items():
            *folders, name = path.split("__")
            inner = data
            for folder in folders:
                inner = inner[folder]
            assert name in inner, f"{name} is none of {list(inner)}"
            inner[name] = value(inner[name]) if callable(value) else value
        self.replace_event(sequence, data=CODEC.encode(data))

    def replace_event(self, sequence: int, **parts: Any) -> None:
        """Replace the tag, subject, data or metadata of a stored event."""
        old = self.events[sequence - 1]
        fields = ("sequence", "subject", "tag", "data", "metadata", "time")
        old_fields = {name: getattr(old, name) for name in fields}
        self.events[sequence - 1] = RecordedEvent(**{**old_fields, **parts})

    def append_copy(self, sequence: int, event_id: str = "") -> None:
        """Append the event of `sequence` again, under another id."""
        old = self.events[sequence - 1]
        self._store_copy(
            old.sequence, EventMetadata(id=event_id or f"{old.metadata.id}-again", correlation="c")
        )

    def _store_copy(self, sequence: int, meta: EventMetadata) -> None:
        old = self.events[sequence - 1]
        self.server.journal.store(
            [EventDraft(subject=old.event_subject, event=old.event, metadata=meta)],
            [old.data],
            0.0,
            old.time,
        )

    def remove_event(self, sequence: int) -> None:
        """Remove an event; later events move up, and references to them are adjusted."""
        journal = self.server.journal
        remaining = [one for one in self.events if one.sequence != sequence]
        moved = TamperedLog()
        for old in remaining:
            data = CODEC.decode(old.data, dict[str, Any])
            if data.get("tradeSequence", 0) > sequence:
                data["tradeSequence"] -= 1
            moved.server.journal.store(
                [EventDraft(subject=old.event_subject, event=old.event, metadata=old.metadata)],
                [CODEC.encode(data)],
                0.0,
                old.time,
            )
        self.server.journal = moved.server.journal
        self.server.journal.epoch = journal.epoch

    async def save_view_checkpoint(
        self, view_type: ViewType[View], owner: str, as_of: int | None = None
    ) -> str:
        """Save a checkpoint of a view as of the sequence `as_of`, and return its key."""
        bounds = await self.log.bounds()
        view = view_type()
        for recorded in self.events[:as_of]:
            if (recorded.event_subject.owner, recorded.event_subject.domain) == (
                owner,
                view_type.domain,
            ):
                view.apply(recorded.event)
        if as_of is not None:
            bounds = type(bounds)(bounds.epoch, bounds.first, as_of)
        name = view_checkpoints.checkpoint_name(view_type)
        await view_checkpoints.save(self.values, owner, name, view, bounds)
        return checkpoint_key(owner, name)

    async def verify(
        self,
        *,
        user: str | None = None,
        checkpoint_checks: Any = (),
        values: LatestValueStore | None = None,
    ) -> tuple[list[VerificationDifference], VerificationSummary]:
        found: list[VerificationDifference] = []
        summary = await verify(
            self.log,
            values or self.values,
            found.append,
            user=user,
            checkpoint_checks=checkpoint_checks,
        )
        assert summary.differences == len(found)
        return found, summary

    async def save_cursor(self, name: str, as_of: int | None = None) -> None:
        """Save the checkpoint of a consumer without a state."""
        bounds = await self.log.bounds()
        await write_checkpoint(
            self.values,
            shared_checkpoint_key(name),
            epoch=bounds.epoch,
            as_of=as_of or bounds.last,
            state=b"null",
        )
