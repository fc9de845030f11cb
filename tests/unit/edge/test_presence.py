"""Presence on several processes: agreement despite lost messages, and the connection limit."""

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapewire_services.edge.cluster.presence import (
    MAX_SNAPSHOT_ENTRIES,
    SILENCE_TIMEOUT_SECONDS,
    Presence,
)
from tapewire_services.edge.cluster.presence_messages import (
    InstanceStopped,
    PresenceEntry,
    PresenceHeartbeat,
    PresenceMessage,
    SnapshotRequest,
)


class Cluster:
    """The presence of several processes, whose messages arrive at once or are lost."""

    def __init__(self, *names: str, max_connections: int = 10) -> None:
        self._max_connections = max_connections
        self.over_limit: dict[str, list[str]] = {name: [] for name in names}
        self.instances: dict[str, Presence] = {}
        for name in names:
            self.add_instance(name)
        self.now = 0.0

    def add_instance(self, name: str) -> None:
        self.over_limit[name] = []
        self.instances[name] = Presence(name, self._max_connections)

    def publish(
        self, messages: list[PresenceMessage], *, lost: frozenset[str] = frozenset()
    ) -> None:
        """Deliver to all instances except the `lost`; replies reach all."""
        for message in messages:
            for name, presence in self.instances.items():
                if name not in lost:
                    self.publish(presence.receive(message, self.now))
        for name, presence in self.instances.items():
            self.over_limit[name] += presence.pop_over_limit()

    def open(
        self, name: str, client: str, user: str | None = "alice", at: float = 0.0,
        lost: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        entry = PresenceEntry(client, user, at)
        self.publish([self.instances[name].add_connection(entry)], lost=lost)

    def close(self, name: str, client: str, lost: frozenset[str] = frozenset()) -> None:
        message = self.instances[name].remove_connection(client)
        if message is not None:
            self.publish([message], lost=lost)

    def send_heartbeats(self) -> None:
        for presence in self.instances.values():
            self.publish([presence.heartbeat()])

    def totals(self) -> list[tuple[int, int, dict[str, int]]]:
        return [
            (t.connection_count, t.user_count, dict(t.connections_per_user))
            for t in (presence.totals() for presence in self.instances.values())
        ]


def test_every_process_counts_every_connection() -> None:
    cluster = Cluster("a", "b")
    cluster.open("a", "1")
    cluster.open("b", "2")
    cluster.open("b", "3", user="bob")
    cluster.open("b", "4", user=None)

    assert cluster.totals() == [(4, 2, {"alice": 2, "bob": 1})] * 2

    cluster.close("b", "2")
    cluster.close("b", "4")
    cluster.close("b", "4")
    assert cluster.totals() == [(2, 2, {"alice": 1, "bob": 1})] * 2


def test_the_oldest_connection_over_the_limit_is_found_on_its_process() -> None:
    cluster = Cluster("a", "b", max_connections=2)
    cluster.open("b", "oldest", at=1)
    cluster.open("a", "second", at=2)
    assert not cluster.over_limit["a"]
    assert not cluster.over_limit["b"]

    cluster.open("a", "third", at=3)

    assert cluster.over_limit["b"] == ["oldest"]
    assert not cluster.over_limit["a"]
    cluster.close("b", "oldest")
    cluster.open("b", "of-bob", user="bob", at=0)
    cluster.open("b", "anonymous", user=None, at=0)
    assert cluster.over_limit["b"] == ["oldest"]
    assert cluster.instances["a"].count_connections("alice") == 2


def test_a_new_process_requests_snapshots() -> None:
    cluster = Cluster("a")
    for number in range(MAX_SNAPSHOT_ENTRIES + 1):
        cluster.open("a", f"{number}", user=f"u{number}")
    cluster.add_instance("b")

    cluster.publish([SnapshotRequest(None)])

    assert cluster.instances["b"].totals().connection_count == MAX_SNAPSHOT_ENTRIES + 1


def test_a_stopped_or_silent_process_is_removed() -> None:
    cluster = Cluster("a", "b", "c")
    cluster.open("a", "1")
    cluster.open("b", "2")
    cluster.publish([InstanceStopped("a")])
    assert cluster.instances["c"].totals().connection_count == 1

    cluster.now = SILENCE_TIMEOUT_SECONDS + 1
    cluster.instances["c"].expire_silent_instances(cluster.now)
    assert cluster.instances["c"].totals().connection_count == 0


def test_a_removed_process_that_still_runs_is_added_again() -> None:
    cluster = Cluster("a", "b")
    cluster.open("a", "1")
    cluster.publish([InstanceStopped("a")])
    cluster.send_heartbeats()
    assert cluster.instances["b"].totals().connection_count == 1


def test_repeated_and_late_messages_change_nothing() -> None:
    cluster = Cluster("a", "b")
    opened = cluster.instances["a"].add_connection(PresenceEntry("1", "alice", 0.0))
    closed = cluster.instances["a"].remove_connection("1")
    assert closed is not None
    cluster.publish([opened, closed, opened])
    assert cluster.instances["b"].totals().connection_count == 0


@pytest.mark.parametrize("lost", ["opened", "closed"])
def test_a_lost_message_is_repaired_by_the_next_heartbeat(lost: str) -> None:
    cluster = Cluster("a", "b")
    receivers = frozenset({"b"})
    cluster.open("a", "1", lost=receivers if lost == "opened" else frozenset())
    cluster.close("a", "1", lost=receivers)
    cluster.open("a", "2", user="bob", lost=receivers)
    assert cluster.totals()[0] != cluster.totals()[1]

    cluster.send_heartbeats()

    assert cluster.totals() == [(1, 1, {"bob": 1})] * 2


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_all_processes_agree_after_any_losses(seed: int) -> None:
    """In addition, no user is over the limit after the connections over it are closed."""
    rng = random.Random(seed)
    names = ("a", "b", "c")
    cluster = Cluster(*names, max_connections=3)
    open_on: dict[str, str] = {}
    for number in range(60):
        lost = frozenset(name for name in names if rng.random() < 0.2)
        if open_on and rng.random() < 0.4:
            client = rng.choice([*open_on])
            cluster.close(open_on.pop(client), client, lost=lost)
        else:
            name, user = rng.choice(names), rng.choice(("alice", "bob", None))
            open_on[f"{number}"] = name
            cluster.open(name, f"{number}", user, at=float(number), lost=lost)

    for _ in range(3):
        cluster.send_heartbeats()
        for name in names:
            for client in cluster.over_limit[name]:
                cluster.close(name, client)
    cluster.send_heartbeats()

    one, *others = cluster.totals()
    assert all(other == one for other in others)
    assert all(count <= 3 for count in one[2].values())


def test_connections_of_a_draining_process_do_not_count() -> None:
    """Their clients open the next connection first. No other tab may lose its connection for it."""
    cluster = Cluster("a", "b", max_connections=2)
    cluster.open("b", "other tab", at=1)
    cluster.open("a", "leaving", at=2)
    cluster.publish([cluster.instances["a"].start_draining()])

    cluster.open("b", "its successor", at=3)

    assert not cluster.over_limit["a"]
    assert not cluster.over_limit["b"]
    assert cluster.totals() == [(3, 1, {"alice": 3})] * 2, "they are still open"
    cluster.open("b", "one too many", at=4)
    assert cluster.over_limit == {"a": [], "b": ["other tab"]}


def test_a_draining_process_closes_no_connection_for_the_limit() -> None:
    cluster = Cluster("a", "b", max_connections=1)
    cluster.open("a", "leaving", at=1)
    cluster.publish([cluster.instances["a"].start_draining()])
    cluster.open("a", "late", at=2)
    cluster.open("b", "successor", at=3)
    assert not any(cluster.over_limit.values())


def test_a_missed_drain_announcement_is_repeated_by_heartbeats_and_snapshots() -> None:
    cluster = Cluster("a", "b", "c", max_connections=1)
    cluster.open("a", "leaving", at=1)
    cluster.publish([cluster.instances["a"].start_draining()], lost=frozenset({"b", "c"}))
    cluster.send_heartbeats()
    cluster.open("b", "successor", at=2)
    assert not any(cluster.over_limit.values())

    cluster.add_instance("d")
    cluster.publish([SnapshotRequest(None)])
    cluster.close("b", "successor")
    cluster.open("d", "older", at=0.5)
    assert not any(cluster.over_limit.values())


def test_a_heartbeat_of_an_older_version_is_understood() -> None:
    encoded = msgspec.json.encode({"type": "here", "instance": "a", "number": 1, "count": 1})
    assert msgspec.json.decode(encoded, type=PresenceMessage) == PresenceHeartbeat(
        "a", 1, 1, leaves=False
    )
