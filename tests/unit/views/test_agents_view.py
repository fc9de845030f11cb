"""The view of the service processes: all that run, and those that stopped last."""

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


def test_the_last_word_of_each_instance_counts() -> None:
    starting = status("a", AgentState.STARTING)
    other = status("a", service="prices")
    assert fold(starting, other, status("a")).agents() == [other, status("a")]


def test_stopped_ones_are_forgotten_and_running_ones_never() -> None:
    stopped = [
        status(f"s{number}", AgentState.STOPPED) for number in range(MAX_STOPPED_AGENTS + 20)
    ]
    running = [status(f"r{number}") for number in range(200)]
    view = fold(*running, *stopped)
    assert view.agents() == [*stopped[20:], *running]


def test_one_that_stopped_and_starts_again_is_there_once() -> None:
    again = status("a", AgentState.STARTING)
    assert fold(status("a"), status("a", AgentState.STOPPED), again).agents() == [again]


def test_what_is_saved_goes_on_as_what_was_not() -> None:
    events = [status(f"s{number % 70}", [*AgentState][number % 4]) for number in range(300)]
    for cut in range(0, 300, 23):
        view = AgentsView.decode(fold(*events[:cut]).encode())
        for event in events[cut:]:
            view.apply(event)
        assert view.agents() == fold(*events).agents()
