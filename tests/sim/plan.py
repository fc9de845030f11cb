"""The plan of a simulation, drawn from its seed: sizes, fault rates and intervals of failures.

No seed has every kind of failure, because a rare one shows better alone. For the same reason
buffers, pages and outboxes are tiny in some seeds and of production size in others.
"""

import random
from typing import Any

import msgspec

from tapewire.log.memory import Faults
from tapewire.runtime import Settings

USERS = ("alice", "bob.b", "zoë", "_5%", "eve-x")
"""User names, including names that subjects must escape."""


class ClientBehavior(msgspec.Struct, frozen=True):
    """How a client behaves. Times are in seconds."""

    path: str
    buffer_bytes: int
    """The size of its connection's buffer in bytes."""
    max_read_bytes: int
    """The most bytes that it reads at once."""
    mean_pause_seconds: float
    """The mean time between two reads."""
    mean_connection_seconds: float
    """The mean time of a connection."""
    stall_probability: float
    """The probability, per connection, that it stops reading for a long time."""
    edge_switch_probability: float
    """The probability that it reconnects to another edge."""


class SimulationPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One simulation. Times are seconds of virtual time."""

    seed: int
    duration_seconds: float
    order_count: int
    edge_count: int
    settings: Settings
    remembered_events: int
    held_events: int
    read_events: int
    edge_fault_rates: dict[str, float]
    writer_fault_rates: dict[str, float]
    edge_crash_interval_seconds: float
    """Mean time between crashes of an edge; likewise the following. 0: never."""
    edge_drain_interval_seconds: float
    sever_interval_seconds: float
    outage_interval_seconds: float
    revoke_interval_seconds: float
    trim_interval_seconds: float
    log_recreation_count: int
    checkpoint_interval_seconds: float
    client_behaviors: tuple[ClientBehavior, ...]

    @classmethod
    def from_seed(cls, seed: int) -> "SimulationPlan":
        rng = random.Random(f"plan {seed}")
        pick = rng.choice
        return cls(
            seed=seed,
            duration_seconds=8.0,
            order_count=120,
            edge_count=pick([1, 2, 2, 3]),
            settings=_random_settings(rng),
            remembered_events=pick([16_384, 16_384, 100, 20, 3]),
            held_events=pick([65_536, 65_536, 4, 0]),
            read_events=pick([256, 256, 16, 2]),
            edge_fault_rates=_random_fault_rates(rng, _MAX_EDGE_FAULT_RATES),
            writer_fault_rates=_random_fault_rates(rng, _MAX_WRITER_FAULT_RATES),
            edge_crash_interval_seconds=pick([0, 0, 2, 5]),
            edge_drain_interval_seconds=pick([0, 0, 0, 3]),
            sever_interval_seconds=pick([0, 0, 1, 4]),
            outage_interval_seconds=pick([0, 0, 3, 6]),
            revoke_interval_seconds=pick([0, 0, 1, 3]),
            trim_interval_seconds=pick([0, 0, 0, 0, 0.7, 2]),
            log_recreation_count=pick([0, 0, 0, 0, 1, 2]),
            checkpoint_interval_seconds=pick([0.2, 1, 5]),
            client_behaviors=tuple(_random_behavior(rng) for _ in range(20)),
        )

    @property
    def loses_events(self) -> bool:
        """Whether deciders cannot read all events of an order later."""
        return bool(self.trim_interval_seconds or self.log_recreation_count)

    def rng_for(self, name: str) -> random.Random:
        """A random generator for `name`; its draws do not depend on those of others."""
        return random.Random(f"{name} {self.seed}")

    def faults_for(self, name: str) -> Faults:
        """The faults of the process `name`."""
        weather = self.writer_fault_rates if name.startswith("writer") else self.edge_fault_rates
        faults = Faults(seed=self.rng_for(name).getrandbits(32))
        for misfortune, rate in weather.items():
            setattr(faults, misfortune, rate)
        return faults


_MAX_EDGE_FAULT_RATES = {
    "max_delay_seconds": 0.03,
    "max_timeout_seconds": 0.5,
    "max_outage_seconds": 1.0,
    "max_late_seconds": 0.5,
    "unavailable_rate": 0.03,
    "disconnect_rate": 0.02,
    "stale_read_rate": 0.2,
    "lost_message_rate": 0.05,
    "gap_rate": 0.03,
    "late_message_rate": 0.03,
    "duplicate_message_rate": 0.03,
}
_MAX_WRITER_FAULT_RATES = {
    "max_delay_seconds": 0.03,
    "max_timeout_seconds": 0.5,
    "max_outage_seconds": 1.0,
    "max_late_seconds": 0.5,
    "conflict_rate": 0.03,
    "lost_append_rate": 0.03,
    "lost_ack_rate": 0.03,
    "late_append_rate": 0.02,
    "unavailable_rate": 0.02,
    "outage_rate": 0.001,
    "stale_read_rate": 0.1,
}
_ALWAYS_PRESENT = ("max_timeout_seconds", "max_outage_seconds", "max_late_seconds")


def _random_fault_rates(rng: random.Random, maximums: dict[str, float]) -> dict[str, float]:
    """Draw fault rates: each is absent with even chance, or at most its maximum."""
    if rng.random() < 0.1:
        return {}
    return {
        name: rate if name in _ALWAYS_PRESENT else rate * rng.choice([0, 0, 0.3, 1])
        for name, rate in maximums.items()
    }


def _random_settings(rng: random.Random) -> Settings:
    pick = rng.choice
    wanted: dict[str, Any] = {
        "keepalive_interval": pick([0.3, 2.0, 30.0]),
        "flush_ms": pick([1.0, 20.0, 100.0]),
        "outbox_events": pick([256, 32, 5, 1]),
        "outbox_bytes": pick([256 * 1024, 8192, 1024]),
        "write_seconds": pick([10.0, 1.0]),
        "replay_limit": pick([100_000, 100_000, 100_000, 30]),
        "replays_at_once": pick([16, 1]),
        # All clients share one address, the empty one, and so one rate limit.
        "connect_rate": 1_000_000,
    }
    return Settings(**wanted)


def _random_behavior(rng: random.Random) -> ClientBehavior:
    pick = rng.choice
    slow = rng.random() < 0.25
    return ClientBehavior(
        path=pick(["/api/stream/orders", "/api/stream/trading"]),
        buffer_bytes=pick([512, 4096]) if slow else 65_536,
        max_read_bytes=pick([7, 300, 2000]) if slow else 65_536,
        mean_pause_seconds=pick([0.01, 0.2]) if slow else 0.0,
        mean_connection_seconds=pick([0.5, 2.0, 5.0, 1000.0]),
        stall_probability=pick([0.0, 0.5]) if slow else 0.0,
        edge_switch_probability=pick([0.0, 0.5, 1.0]),
    )
