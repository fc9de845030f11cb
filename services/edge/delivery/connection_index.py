"""The connections of a process by what they are shown. Pure."""

from collections.abc import Iterator

from tapewire_services.edge.delivery.connection import Connection

Index = dict[str, dict[Connection, None]]
"""Connections by a key. Dictionaries keep the order of arrival, which makes simulations
reproducible."""


class ConnectionIndex:
    """Finds the connections that an event may concern. A connection is removed and added again when
    its interest changes."""

    def __init__(self) -> None:
        self.by_owner: Index = {}
        self.by_shared_domain: Index = {}
        self.by_unsequenced_domain: Index = {}

    def add(self, connection: Connection) -> None:
        for index, name in self._entries(connection):
            index.setdefault(name, {})[connection] = None

    def remove(self, connection: Connection) -> None:
        for index, name in self._entries(connection):
            if name in index:
                index[name].pop(connection, None)
                if not index[name]:
                    del index[name]

    def _entries(self, connection: Connection) -> Iterator[tuple[Index, str]]:
        """The indexes that list `connection`, each with its key."""
        if connection.info.owner is not None:
            yield self.by_owner, connection.info.owner
        for domain in sorted(connection.interest.shared_domains):
            yield self.by_shared_domain, domain
        for domain in sorted(connection.interest.unsequenced_domains):
            yield self.by_unsequenced_domain, domain
