"""The laws of configurations, analysed items and agents."""

from tapewire.events import (
    AgentStatusChanged,
    Configuration,
    ConfigurationCreated,
    ConfigurationDeleted,
    ConfigurationEvent,
    ItemAnalysed,
)
from tapewire.log import EVERYBODY, Recorded
from tapewire.verify.findings import Findings
from tapewire.verify.register import Register


class Insights:
    """A configuration is created once, and no more when it is deleted; an item is everybody's, and
    there once."""

    def __init__(self, findings: Findings, register: Register, *, whole: bool) -> None:
        self._findings = findings
        self._register = register
        self._whole = whole
        self._configurations: dict[str, Configuration] = {}

    def __len__(self) -> int:
        return len(self._configurations)

    def configuration(self, recorded: Recorded, event: ConfigurationEvent) -> None:
        """Take an event of a configuration."""
        findings, now = self._findings, event.configuration
        findings.compare(recorded, "id", now.id, recorded.place.entity)
        before = self._configurations.get(recorded.subject)
        if isinstance(event, ConfigurationCreated):
            findings.entities["configurations"] += 1
            self._register.claim(f"created {recorded.subject}", recorded.sequence)
        elif before is None and self._whole:
            findings.at(recorded, "the configuration was never created, or deleted before")
        if before is not None and now.timestamp < before.timestamp:
            findings.at(recorded, f"its time goes back to {now.timestamp.isoformat()}")
        self._configurations[recorded.subject] = now
        if isinstance(event, ConfigurationDeleted):
            del self._configurations[recorded.subject]

    def item(self, recorded: Recorded, event: ItemAnalysed) -> None:
        """Take an analysed item."""
        findings, item = self._findings, event.item
        findings.entities["items"] += 1
        findings.compare(recorded, "id", item.id, recorded.place.entity)
        findings.compare(recorded, "owner", recorded.place.owner, EVERYBODY)
        self._register.claim(f"analysed {recorded.subject}", recorded.sequence)
        if not -1 <= item.score <= 1:
            findings.at(recorded, f"a score of {item.score}")

    def agent(self, recorded: Recorded, event: AgentStatusChanged) -> None:
        """Take what a service says of itself."""
        self._findings.compare(recorded, "owner", recorded.place.owner, EVERYBODY)
        if not event.service or not event.instance:
            self._findings.at(recorded, "the service, or its instance, has no name")
