"""The newest status of each process, on streams of readers without a session. Pure."""

from collections.abc import Callable, Iterable

from tapewire_services.edge.delivery.conflation_registry import GroupSpec
from tapewire_services.edge.delivery.serializers import SseMessage
from tapewire_services.edge.delivery.serializers.trading import public_status_message
from tapewire_services.edge.delivery.topics import LiveValue
from tapewire_services.edge.ingest.agent_states import AgentStates


def agents_group(states: AgentStates, render: Callable[[SseMessage], bytes]) -> GroupSpec:
    """The processes that change, after all that there are."""

    def render_changed(keys: Iterable[str]) -> bytes:
        statuses = states.current()
        changed = set(keys)
        return b"".join(
            render(public_status_message(status))
            for key, status in statuses.items()
            if key in changed
        )

    return GroupSpec(
        value=LiveValue.AGENTS,
        variant=None,
        initial_keys=frozenset(states.current()),
        render=render_changed,
    )
