"""The plan of a trial, drawn from its seed: orders, clients and faults. Pure."""

import enum
import random

import msgspec

from tests.harness.order_trial.plan import OrderTrialPlan, draw_plan


class ClusterFault(enum.Enum):
    """A fault to inject; the value is its name in the figures."""

    STOP = "stopped and started"
    KILL = "killed"
    FREEZE = "frozen"
    CUT_OFF = "cut off"
    MUTE = "cannot send"
    LOSE_DISK = "disk lost"
    FILL_DISK = "disk full"
    LOSE_QUORUM = "quorum lost: two killed"
    SEPARATE = "quorum lost: no route"
    REPLACE = "replaced by another server"


NEEDS_NAMESPACES = frozenset(
    {ClusterFault.CUT_OFF, ClusterFault.MUTE, ClusterFault.FILL_DISK, ClusterFault.SEPARATE}
)
"""Faults that servers on 127.0.0.1 with one disk cannot have."""


class FaultStep(msgspec.Struct, frozen=True, kw_only=True):
    """A fault of one server: the one that leads the journal, or another one."""

    fault: ClusterFault
    of_leader: bool

    def __str__(self) -> str:
        return f"{'leader' if self.of_leader else 'follower'} {self.fault.value}"


SHORT_STEPS = (
    FaultStep(fault=ClusterFault.LOSE_QUORUM, of_leader=False),
    FaultStep(fault=ClusterFault.FREEZE, of_leader=False),
    FaultStep(fault=ClusterFault.CUT_OFF, of_leader=False),
    FaultStep(fault=ClusterFault.KILL, of_leader=True),
    FaultStep(fault=ClusterFault.LOSE_DISK, of_leader=False),
    FaultStep(fault=ClusterFault.FILL_DISK, of_leader=False),
    FaultStep(fault=ClusterFault.REPLACE, of_leader=False),
)
"""Each kind once, and mostly of a follower, which costs no election."""
FULL_ROUNDS = 2


class ClusterTrialPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan. `hold_seconds` is how long each fault lasts at least."""

    seed: int
    trial: OrderTrialPlan
    steps: tuple[FaultStep, ...]
    hold_seconds: float

    @classmethod
    def from_seed(
        cls, seed: int, *, is_short: bool, has_namespaces: bool, only: str = ""
    ) -> "ClusterTrialPlan":
        """The plan of `seed`; the same arguments give the same plan. `only` names the steps to
        keep, or parts of their names, separated by commas."""
        rng = random.Random(f"cluster {seed}")
        steps = SHORT_STEPS if is_short else _all_steps(rng)
        return cls(
            seed=seed,
            trial=draw_plan(
                rng,
                seed=seed,
                order_count=30_000,  # more than are placed while faults are injected
                orders_per_second=12,
                watcher_count=10,
                ends_with_faults=True,
            ),
            steps=tuple(
                step
                for step in steps
                if (has_namespaces or step.fault not in NEEDS_NAMESPACES)
                and any(name in str(step) for name in only.split(","))
            ),
            hold_seconds=1.0 if is_short else 12.0,
        )


def _all_steps(rng: random.Random) -> tuple[FaultStep, ...]:
    """Every fault of a leader and of a follower, in an order that the seed determines. A server is
    replaced once, since no further one can join."""
    steps = [
        FaultStep(fault=fault, of_leader=of_leader)
        for _ in range(FULL_ROUNDS)
        for fault in ClusterFault
        for of_leader in (False, True)
        if fault is not ClusterFault.REPLACE
    ]
    rng.shuffle(steps)
    last = FaultStep(fault=ClusterFault.REPLACE, of_leader=rng.random() < 0.5)
    return (*steps, last)
