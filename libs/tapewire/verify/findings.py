"""What a verification finds: differences, each told as it is found, and counts at the end."""

from collections import Counter
from collections.abc import Callable

import msgspec

from tapewire.log import BadSubject, EventSubject, RecordedEvent


class VerificationDifference(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that is not as it must be. `sequence` is that of the event concerned, or the one
    that a checkpoint is true for; 0 when there is none."""

    owner: str
    domain: str
    entity: str
    sequence: int
    what: str

    def __str__(self) -> str:
        return f"{self.owner} {self.domain} {self.entity} @{self.sequence}: {self.what}"


class EventLocation(msgspec.Struct, frozen=True):
    """Where an event was, once the event itself is let go."""

    sequence: int
    subject: str

    def to_difference(self, what: str) -> VerificationDifference:
        """A difference here."""
        try:
            place = EventSubject.parse(self.subject)
        except BadSubject:
            place = EventSubject("", "", self.subject)
        return VerificationDifference(
            owner=place.owner,
            domain=place.domain,
            entity=place.entity,
            sequence=self.sequence,
            what=what,
        )


class Findings:
    """Tells of differences, and counts."""

    def __init__(self, on_difference: Callable[[VerificationDifference], None]) -> None:
        self._on_difference = on_difference
        self.difference_count = 0
        self.entity_counts: Counter[str] = Counter()
        """By domain: those that began."""
        self.pending_counts: Counter[str] = Counter()
        """What is still to be done by a service, by what it is."""

    def report_event(self, recorded: RecordedEvent, what: str) -> None:
        """The event `recorded` is not as it must be."""
        self.report_at(EventLocation(recorded.sequence, recorded.subject), what)

    def report_at(self, location: EventLocation, what: str) -> None:
        """Something is wrong with what came of the event at `place`."""
        self.report(location.to_difference(what))

    def report(self, difference: VerificationDifference) -> None:
        """Tell of `difference`."""
        self.difference_count += 1
        self._on_difference(difference)

    def compare(self, recorded: RecordedEvent, name: str, found: object, expected: object) -> None:
        """`name` of the event must be what was folded."""
        if found != expected:
            self.report_event(
                recorded, f"{name} is {format_value(found)}, folded it is {format_value(expected)}"
            )


def location_of(recorded: RecordedEvent) -> EventLocation:
    """Where `recorded` is."""
    return EventLocation(recorded.sequence, recorded.subject)


def format_value(value: object) -> str:
    """`value` on one line, at most 120 characters."""
    if isinstance(value, tuple):
        value = f"({', '.join(format_value(part) for part in value)})"
    text = " ".join(str(getattr(value, "value", value)).split())
    return text if len(text) <= 120 else f"{text[:119]}…"
