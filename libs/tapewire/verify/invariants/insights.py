"""The invariants of configurations, analysed items and service processes."""

from tapewire.events import (
    AgentStatusChanged,
    Configuration,
    ConfigurationCreated,
    ConfigurationDeleted,
    ConfigurationEvent,
    ItemAnalysed,
    ItemChangedEvent,
    ItemRetracted,
)
from tapewire.log import EVERYBODY, RecordedEvent
from tapewire.verify.findings import Findings
from tapewire.verify.reference_index import ReferenceIndex


class InsightInvariants:
    """Checks that a configuration is created once and has no events after its deletion, and that an
    item is owned by everybody and exists once."""

    def __init__(
        self, findings: Findings, unique_facts: ReferenceIndex, *, has_full_history: bool
    ) -> None:
        self._findings = findings
        self._unique_facts = unique_facts
        self._has_full_history = has_full_history
        self._configurations: dict[str, Configuration] = {}

    def __len__(self) -> int:
        return len(self._configurations)

    def check_configuration(self, recorded: RecordedEvent, event: ConfigurationEvent) -> None:
        """Check an event of a configuration."""
        findings, now = self._findings, event.configuration
        findings.compare(recorded, "id", now.id, recorded.event_subject.entity)
        before = self._configurations.get(recorded.subject)
        if isinstance(event, ConfigurationCreated):
            findings.entity_counts["configurations"] += 1
            self._unique_facts.define(f"created {recorded.subject}", recorded.sequence)
        elif before is None and self._has_full_history:
            findings.report_event(
                recorded, "the configuration was never created, or deleted before"
            )
        if before is not None and now.timestamp < before.timestamp:
            findings.report_event(recorded, f"its time goes back to {now.timestamp.isoformat()}")
        self._configurations[recorded.subject] = now
        if isinstance(event, ConfigurationDeleted):
            del self._configurations[recorded.subject]

    def check_item(self, recorded: RecordedEvent, event: ItemAnalysed) -> None:
        """Check an analysed item."""
        findings, item = self._findings, event.item
        findings.entity_counts["items"] += 1
        findings.compare(recorded, "id", item.id, recorded.event_subject.entity)
        findings.compare(recorded, "owner", recorded.event_subject.owner, EVERYBODY)
        self._unique_facts.define(f"analysed {recorded.subject}", recorded.sequence)
        if not -1 <= item.score <= 1:
            findings.report_event(recorded, f"a score of {item.score}")

    def check_item_change(self, recorded: RecordedEvent, event: ItemChangedEvent) -> None:
        """Check a correction or retraction: it changes the item that its subject names, from the
        state before it, and nothing follows a retraction."""
        findings, item = self._findings, event.item
        findings.compare(recorded, "id", item.id, recorded.event_subject.entity)
        findings.compare(recorded, "previous id", event.previous.id, item.id)
        findings.compare(recorded, "owner", recorded.event_subject.owner, EVERYBODY)
        findings.compare(recorded, "retracted", item.retracted, isinstance(event, ItemRetracted))
        if event.previous.retracted:
            findings.report_event(recorded, "the item was retracted before")
        if not -1 <= item.score <= 1:
            findings.report_event(recorded, f"a score of {item.score}")
        if event.number < 0:
            findings.report_event(recorded, f"the number {event.number}")

    def check_agent_status(self, recorded: RecordedEvent, event: AgentStatusChanged) -> None:
        """Check the state of a service process."""
        self._findings.compare(recorded, "owner", recorded.event_subject.owner, EVERYBODY)
        if not event.service or not event.instance:
            self._findings.report_event(recorded, "the service, or its instance, has no name")
