"""What a verification finds: differences, each told as it is found, and counts at the end."""

from collections import Counter
from collections.abc import Callable

import msgspec

from tapewire.log import BadSubject, Recorded, Subject


class Difference(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that is not as it must be. `sequence` is that of the event concerned, or the one
    that a checkpoint is true for; 0 when there is none."""

    owner: str
    domain: str
    entity: str
    sequence: int
    what: str

    def __str__(self) -> str:
        return f"{self.owner} {self.domain} {self.entity} @{self.sequence}: {self.what}"


class Place(msgspec.Struct, frozen=True):
    """Where an event was, once the event itself is let go."""

    sequence: int
    subject: str

    def differs(self, what: str) -> Difference:
        """A difference here."""
        try:
            place = Subject.parse(self.subject)
        except BadSubject:
            place = Subject("", "", self.subject)
        return Difference(
            owner=place.owner,
            domain=place.domain,
            entity=place.entity,
            sequence=self.sequence,
            what=what,
        )


class Findings:
    """Tells of differences, and counts."""

    def __init__(self, tell: Callable[[Difference], None]) -> None:
        self._tell = tell
        self.differences = 0
        self.entities: Counter[str] = Counter()
        """By domain: those that began."""
        self.pending: Counter[str] = Counter()
        """What is still to be done by a service, by what it is."""

    def at(self, recorded: Recorded, what: str) -> None:
        """The event `recorded` is not as it must be."""
        self.after(Place(recorded.sequence, recorded.subject), what)

    def after(self, place: Place, what: str) -> None:
        """Something is wrong with what came of the event at `place`."""
        self.difference(place.differs(what))

    def difference(self, difference: Difference) -> None:
        """Tell of `difference`."""
        self.differences += 1
        self._tell(difference)

    def compare(self, recorded: Recorded, name: str, found: object, expected: object) -> None:
        """`name` of the event must be what was folded."""
        if found != expected:
            self.at(recorded, f"{name} is {shown(found)}, folded it is {shown(expected)}")


def place(recorded: Recorded) -> Place:
    """Where `recorded` is."""
    return Place(recorded.sequence, recorded.subject)


def shown(value: object) -> str:
    """`value` on one line, at most 120 characters."""
    if isinstance(value, tuple):
        value = f"({', '.join(shown(part) for part in value)})"
    text = " ".join(str(getattr(value, "value", value)).split())
    return text if len(text) <= 120 else f"{text[:119]}…"
