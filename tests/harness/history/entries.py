"""The entries of a client's history, and the anomalies that it can have."""

import enum
from collections.abc import Iterator, Sequence

import msgspec


class AnomalyKind(enum.Enum):
    """The kinds of anomalies."""

    GAP = "gap"
    DUPLICATE = "duplicate"
    REORDERED = "reordered"
    FOREIGN_EVENT = "foreign event"
    WRONG_CONTENT = "wrong content"
    WRONG_SNAPSHOT = "wrong snapshot"
    SILENT_RESET = "silent reset"
    UNFOUNDED_RESET = "unfounded reset"
    ID_WENT_BACK = "id going back"
    NO_SNAPSHOT = "no snapshot"
    BAD_ID = "bad id"
    WRONG_OPENING = "wrong opening"
    INCOMPLETE = "behind at the end"


class Anomaly(msgspec.Struct, frozen=True):
    """A deviation at `entry_index` of the client's history."""

    kind: AnomalyKind
    entry_index: int
    description: str

    def __str__(self) -> str:
        return f"{self.kind.value} at entry {self.entry_index}: {self.description}"


class StreamOpened(msgspec.Struct, frozen=True):
    """The server answered with a stream; `requested_id` is the last event id that the client
    sent."""

    requested_id: str | None
    via: str = ""


class ReceivedEvent(msgspec.Struct, frozen=True):
    """An event that the client parsed completely. `data` is JSON."""

    name: str
    data: bytes
    id: str | None = None


HistoryEntry = StreamOpened | ReceivedEvent


def split_at_fresh_connections(history: Sequence[HistoryEntry]) -> Iterator[list[ReceivedEvent]]:
    """Split what a client received at its connections without a last event id.

    Yield the events that have an id, for each stretch that has any.
    """
    frames: list[ReceivedEvent] = []
    for entry in [*history, StreamOpened(None)]:
        if isinstance(entry, ReceivedEvent):
            frames += [entry] if entry.id is not None else []
        elif entry.requested_id is None:
            if frames:
                yield frames
            frames = []
