"""The view of the service processes: all running ones, and the last stopped ones."""

from datetime import UTC, datetime

from tapewire.events import AgentState, AgentStatusChanged
from tapewire.views.agents import MAX_STOPPED_AGENTS, AgentsView


def status(
    instance: str, state: AgentState = AgentState.RUNNING, service: str = "orders"
) -> AgentStatusChanged:
    return AgentStatusChanged(
        service=service,
        instance=instance,
        state=state,
        detail=None,
        timestamp=datetime(2026, 3, 2, tzinfo=UTC),
    )


def fold(*events: AgentStatusChanged) -> AgentsView:
    view = AgentsView()
    for event in events:
        view.apply(event)
    return view


def test_the_view_has_the_last_status_of_each_instance() -> None:
    starting = status("a", AgentState.STARTING)
    other = status("a", service="prices")
    assert fold(starting, other, status("a")).agents() == [other, status("a")]


def test_old_stopped_instances_are_removed_and_running_ones_kept() -> None:
    stopped = [
        status(f"s{number}", AgentState.STOPPED) for number in range(MAX_STOPPED_AGENTS + 20)
    ]
    running = [status(f"r{number}") for number in range(200)]
    view = fold(*running, *stopped)
    assert view.agents() == [*stopped[20:], *running]


def test_a_restarted_instance_is_listed_once() -> None:
    again = status("a", AgentState.STARTING)
    assert fold(status("a"), status("a", AgentState.STOPPED), again).agents() == [again]


def test_a_restored_view_continues_like_the_original() -> None:
    events = [status(f"s{number % 70}", [*AgentState][number % 4]) for number in range(300)]
    for cut in range(0, 300, 23):
        view = AgentsView.decode(fold(*events[:cut]).encode())
        for event in events[cut:]:
            view.apply(event)
        assert view.agents() == fold(*events).agents()
