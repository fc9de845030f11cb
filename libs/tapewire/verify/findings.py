"""The findings of a verification: differences, reported as they are found, and counts."""

from collections import Counter
from collections.abc import Callable

import msgspec

from tapewire.log import BadSubject, EventSubject, RecordedEvent


class VerificationDifference(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A fact that violates an invariant. `sequence` is that of the event, or the one that a
    checkpoint covers; 0 if there is none.

    An event whose atomic batch was stored in part has the id of the `batch` and the tag of the
    event that is `missing`; `tapewire journal repair` appends it.
    """

    owner: str
    domain: str
    entity: str
    sequence: int
    what: str
    batch: str | None = None
    missing: str | None = None

    def __str__(self) -> str:
        return f"{self.owner} {self.domain} {self.entity} @{self.sequence}: {self.what}"


class EventLocation(msgspec.Struct, frozen=True):
    """The sequence and the subject of an event."""

    sequence: int
    subject: str

    def to_difference(self, what: str) -> VerificationDifference:
        """The difference at this location."""
        try:
            subject = EventSubject.parse(self.subject)
        except BadSubject:
            subject = EventSubject("", "", self.subject)
        return VerificationDifference(
            owner=subject.owner,
            domain=subject.domain,
            entity=subject.entity,
            sequence=self.sequence,
            what=what,
        )


class Findings:
    """Reports differences and counts them."""

    def __init__(self, on_difference: Callable[[VerificationDifference], None]) -> None:
        self._on_difference = on_difference
        self.difference_count = 0
        self.entity_counts: Counter[str] = Counter()
        """Entities by domain."""
        self.pending_counts: Counter[str] = Counter()
        """Work that the services have not done yet, by kind."""
        self.repaired_counts: Counter[str] = Counter()
        """Events that completed an interrupted batch later, by kind."""

    def report_event(self, recorded: RecordedEvent, what: str) -> None:
        """Report a difference at an event."""
        self.report_at(EventLocation(recorded.sequence, recorded.subject), what)

    def report_at(self, location: EventLocation, what: str) -> None:
        """Report a difference at the location of an event."""
        self.report(location.to_difference(what))

    def report(self, difference: VerificationDifference) -> None:
        """Report a difference."""
        self.difference_count += 1
        self._on_difference(difference)

    def compare(self, recorded: RecordedEvent, name: str, found: object, expected: object) -> None:
        """Report a difference unless `found` equals `expected`. `name` names the value in the
        event."""
        if found != expected:
            self.report_event(
                recorded, f"{name} is {format_value(found)}, folded it is {format_value(expected)}"
            )


def location_of(recorded: RecordedEvent) -> EventLocation:
    """The location of `recorded`."""
    return EventLocation(recorded.sequence, recorded.subject)


def format_value(value: object) -> str:
    """`value` on one line of at most 120 characters."""
    if isinstance(value, tuple):
        value = f"({', '.join(format_value(part) for part in value)})"
    text = " ".join(str(getattr(value, "value", value)).split())
    return text if len(text) <= 120 else f"{text[:119]}…"
