"""Which instances `tapewire status` shows."""

from datetime import UTC, datetime, timedelta

from tapewire.cli.status import STOPPED_SHOWN_FOR, select_current
from tapewire.events import AgentState, AgentStatusChanged

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
LONG_AGO = STOPPED_SHOWN_FOR + timedelta(seconds=1)


def agent(service: str, instance: str, state: str, ago: timedelta) -> AgentStatusChanged:
    return AgentStatusChanged(
        service=service,
        instance=instance,
        state=AgentState(state),
        detail=None,
        timestamp=NOW - ago,
    )


def select_names(*agents: AgentStatusChanged) -> list[str]:
    return [one.instance for one in select_current(agents, NOW)]


def test_an_instance_that_stopped_long_ago_is_not_shown_beside_a_running_one() -> None:
    old = agent("orders", "old", "stopped", LONG_AGO)
    recent = agent("orders", "recent", "stopped", STOPPED_SHOWN_FOR)
    running = agent("orders", "running", "running", LONG_AGO)
    assert select_names(old, recent, running) == ["recent", "running"]


def test_a_degraded_instance_counts_as_running() -> None:
    old = agent("orders", "old", "stopped", LONG_AGO)
    assert select_names(old, agent("orders", "here", "degraded", LONG_AGO)) == ["here"]


def test_a_service_that_does_not_run_shows_what_stopped_last() -> None:
    agents = [agent("orders", name, "stopped", LONG_AGO) for name in ("first", "last")]
    other = agent("prices", "price", "running", timedelta())
    assert select_names(*agents, other) == ["last", "price"]
