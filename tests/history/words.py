"""What a client's history is made of, and what can be wrong with it."""

import enum

import msgspec


class Kind(enum.Enum):
    """What can be wrong."""

    GAP = "gap"
    DUPLICATE = "duplicate"
    REORDERED = "reordered"
    FOREIGN = "foreign event"
    CONTENT = "wrong content"
    SNAPSHOT = "wrong snapshot"
    SILENT = "silent reset"
    UNFOUNDED = "unfounded reset"
    BACK = "id going back"
    NO_SNAPSHOT = "no snapshot"
    BAD_ID = "bad id"
    OPENING = "wrong opening"
    BEHIND = "behind at the end"


class Wrong(msgspec.Struct, frozen=True):
    """A deviation: `at` is the place in the client's history."""

    kind: Kind
    at: int
    what: str

    def __str__(self) -> str:
        return f"{self.kind.value} at entry {self.at}: {self.what}"


class Connect(msgspec.Struct, frozen=True):
    """The client was answered with a stream, having given `requested` as its last id."""

    requested: str | None
    via: str = ""


class Frame(msgspec.Struct, frozen=True):
    """An event that the client parsed to its end. `data` is JSON."""

    name: str
    data: bytes
    id: str | None = None


Entry = Connect | Frame
