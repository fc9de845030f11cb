"""The rosters of several processes: they agree, whatever is lost, and close the right ones."""

import random
from collections import defaultdict

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapewire_services.edge.cluster.presence import (
    MAX_SNAPSHOT_ENTRIES,
    SILENCE_TIMEOUT_SECONDS,
    InstanceStopped,
    Presence,
    PresenceEntry,
    PresenceHeartbeat,
    PresenceMessage,
    SnapshotRequest,
)


class House:
    """Processes whose words reach each other, or not."""

    def __init__(self, *names: str, most: int = 10) -> None:
        self.most = most
        self.closed: defaultdict[str, list[str]] = defaultdict(list)
        self.rosters = {name: self._roster(name) for name in names}
        self.now = 0.0

    def _roster(self, name: str) -> Presence:
        return Presence(name, self.most, self.closed[name].append)

    def say(self, words: list[PresenceMessage], *, lost: frozenset[str] = frozenset()) -> None:
        """To everybody but the `lost`; answers reach everybody."""
        for word in words:
            for name, roster in self.rosters.items():
                if name not in lost:
                    self.say(roster.receive(word, self.now))

    def open(
        self, name: str, client: str, user: str | None = "alice", at: float = 0.0,
        lost: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        self.say([self.rosters[name].add_connection(PresenceEntry(client, user, at))], lost=lost)

    def close(self, name: str, client: str, lost: frozenset[str] = frozenset()) -> None:
        word = self.rosters[name].remove_connection(client)
        if word is not None:
            self.say([word], lost=lost)

    def settle(self) -> None:
        """Everybody says that it is there."""
        for roster in self.rosters.values():
            self.say([roster.heartbeat()])

    def totals(self) -> list[tuple[int, int, dict[str, int]]]:
        return [
            (t.connection_count, t.user_count, dict(t.connections_per_user))
            for t in (roster.totals() for roster in self.rosters.values())
        ]


def test_every_process_knows_of_every_connection() -> None:
    house = House("a", "b")
    house.open("a", "1")
    house.open("b", "2")
    house.open("b", "3", user="bob")
    house.open("b", "4", user=None)

    assert house.totals() == [(4, 2, {"alice": 2, "bob": 1})] * 2

    house.close("b", "2")
    house.close("b", "4")
    house.close("b", "4")
    assert house.totals() == [(2, 2, {"alice": 1, "bob": 1})] * 2


def test_the_oldest_goes_wherever_it_is() -> None:
    house = House("a", "b", most=2)
    house.open("b", "oldest", at=1)
    house.open("a", "second", at=2)
    assert not house.closed["a"]
    assert not house.closed["b"]

    house.open("a", "third", at=3)

    assert house.closed["b"] == ["oldest"]
    assert not house.closed["a"]
    house.close("b", "oldest")
    house.open("b", "of-bob", user="bob", at=0)
    house.open("b", "anonymous", user=None, at=0)
    assert house.closed["b"] == ["oldest"]
    assert house.rosters["a"].count_connections("alice") == 2


def test_a_process_that_comes_asks_for_what_there_is() -> None:
    house = House("a")
    for number in range(MAX_SNAPSHOT_ENTRIES + 1):
        house.open("a", f"{number}", user=f"u{number}")
    house.rosters["b"] = house._roster("b")

    house.say([SnapshotRequest(None)])

    assert house.rosters["b"].totals().connection_count == MAX_SNAPSHOT_ENTRIES + 1


def test_a_process_that_ends_or_falls_silent_is_forgotten() -> None:
    house = House("a", "b", "c")
    house.open("a", "1")
    house.open("b", "2")
    house.say([InstanceStopped("a")])
    assert house.rosters["c"].totals().connection_count == 1

    house.now = SILENCE_TIMEOUT_SECONDS + 1
    house.rosters["c"].expire_silent_instances(house.now)
    assert house.rosters["c"].totals().connection_count == 0


def test_a_process_that_was_forgotten_and_lives_is_known_again() -> None:
    house = House("a", "b")
    house.open("a", "1")
    house.say([InstanceStopped("a")])
    house.settle()
    assert house.rosters["b"].totals().connection_count == 1


def test_what_comes_twice_or_late_changes_nothing() -> None:
    house = House("a", "b")
    word = house.rosters["a"].add_connection(PresenceEntry("1", "alice", 0.0))
    gone = house.rosters["a"].remove_connection("1")
    assert gone is not None
    house.say([word, gone, word])
    assert house.rosters["b"].totals().connection_count == 0


@pytest.mark.parametrize("lost", ["opened", "closed"])
def test_a_lost_word_is_made_good(lost: str) -> None:
    house = House("a", "b")
    to_nobody = frozenset({"b"})
    house.open("a", "1", lost=to_nobody if lost == "opened" else frozenset())
    house.close("a", "1", lost=to_nobody)
    house.open("a", "2", user="bob", lost=to_nobody)
    assert house.totals()[0] != house.totals()[1]

    house.settle()

    assert house.totals() == [(1, 1, {"bob": 1})] * 2


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_after_any_losses_all_agree(seed: int) -> None:
    """And nobody is left with more than the limit, once those told to go have gone."""
    chance = random.Random(seed)
    names = ("a", "b", "c")
    house = House(*names, most=3)
    where: dict[str, str] = {}
    for number in range(60):
        lost = frozenset(name for name in names if chance.random() < 0.2)
        if where and chance.random() < 0.4:
            client = chance.choice([*where])
            house.close(where.pop(client), client, lost=lost)
        else:
            name, user = chance.choice(names), chance.choice(("alice", "bob", None))
            where[f"{number}"] = name
            house.open(name, f"{number}", user, at=float(number), lost=lost)

    for _ in range(3):
        house.settle()
        for name in names:
            for client in house.closed[name]:
                house.close(name, client)
    house.settle()

    one, *others = house.totals()
    assert all(other == one for other in others)
    assert all(count <= 3 for count in one[2].values())


def test_connections_of_a_process_that_leaves_are_not_too_many() -> None:
    """Their clients have the next one open before they leave; another tab must not pay for that."""
    house = House("a", "b", most=2)
    house.open("b", "other tab", at=1)
    house.open("a", "leaving", at=2)
    house.say([house.rosters["a"].start_draining()])

    house.open("b", "its successor", at=3)

    assert not house.closed["a"]
    assert not house.closed["b"]
    assert house.totals() == [(3, 1, {"alice": 3})] * 2, "they are still there"
    house.open("b", "one too many", at=4)
    assert dict(house.closed) == {"a": [], "b": ["other tab"]}


def test_a_process_that_leaves_closes_none_for_being_too_many() -> None:
    house = House("a", "b", most=1)
    house.open("a", "leaving", at=1)
    house.say([house.rosters["a"].start_draining()])
    house.open("a", "late", at=2)
    house.open("b", "successor", at=3)
    assert not any(house.closed.values())


def test_who_missed_that_a_process_leaves_hears_it_later() -> None:
    house = House("a", "b", "c", most=1)
    house.open("a", "leaving", at=1)
    house.say([house.rosters["a"].start_draining()], lost=frozenset({"b", "c"}))
    house.settle()
    house.open("b", "successor", at=2)
    assert not any(house.closed.values())

    # A process that is new asks for everybody's list.
    house.rosters["d"] = house._roster("d")
    house.say([SnapshotRequest(None)])
    house.close("b", "successor")
    house.open("d", "older", at=0.5)
    assert not any(house.closed.values())


def test_a_word_of_a_process_that_does_not_know_of_leaving_is_understood() -> None:
    told = msgspec.json.encode({"type": "here", "instance": "a", "number": 1, "count": 1})
    assert msgspec.json.decode(told, type=PresenceMessage) == PresenceHeartbeat(
        "a", 1, 1, leaves=False
    )
