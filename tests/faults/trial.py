"""Runs a trial with the faults of its plan."""

import random
from collections import Counter

import msgspec

from tests.faults.fault_injector import ProcessFaultInjector
from tests.faults.plan import Fault, FaultTrialPlan
from tests.harness.order_trial.trial import OrderTrialResult, run_trial
from tests.harness.stack import Stack
from tests.harness.trader import TraderAnswers


class FaultTrialResult(msgspec.Struct, frozen=True, kw_only=True):
    """A completed trial, and how often each fault was injected."""

    plan: FaultTrialPlan
    trial: OrderTrialResult
    fault_counts: Counter[Fault]

    def __str__(self) -> str:
        faults = ", ".join(f"{fault.value} {times}" for fault, times in self.fault_counts.items())
        return (
            f"seed {self.plan.seed}, edge processes {self.plan.edge_processes}: {self.trial}, "
            f"{self.fault_counts.total()} faults ({faults})"
        )


async def run_fault_trial(plan: FaultTrialPlan, stack: Stack) -> FaultTrialResult:
    """Run `plan` on a running `stack`. Raises AssertionError if it cannot be completed."""
    fault_counts: Counter[Fault] = Counter()

    async def inject(answers: TraderAnswers) -> None:
        injector = ProcessFaultInjector(
            stack,
            plan.edge_processes,
            lambda: len(answers.placed),
            random.Random(f"faults {plan.seed}"),
            fault_counts,
        )
        await injector.run(plan.fault_steps)

    trial = await run_trial(plan.trial, stack, inject)
    return FaultTrialResult(plan=plan, trial=trial, fault_counts=fault_counts)
