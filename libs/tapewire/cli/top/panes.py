"""The panes of `tapewire top`: their columns, and their rows from a sample. Pure."""

from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from tapewire.cli.status import STATE_STYLES, select_current
from tapewire.cli.top.formats import format_since
from tapewire.cli.top.samples import Sample
from tapewire.events import AgentState

_WARNING_STYLE = "yellow"
_STATE_ORDER = (AgentState.DEGRADED, AgentState.STARTING, AgentState.RUNNING, AgentState.STOPPED)


class Column(msgspec.Struct, frozen=True):
    heading: str
    justify: Literal["left", "right"] = "left"


class PaneRow(msgspec.Struct, frozen=True):
    """The texts of a row, what each is sorted by, and its style. The least comes first."""

    cells: tuple[str, ...]
    keys: tuple[Any, ...]
    styles: tuple[str, ...]

    def sort_key(self, column: int) -> tuple[Any, ...]:
        """Sort by `column`, then by the first columns."""
        return (self.keys[column], *self.keys)


class Pane(msgspec.Struct, frozen=True):
    """A table. `empty_text` stands in it while there are no rows."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: Callable[[Sample], list[PaneRow]]
    empty_text: str
    default_sort: int = 0


def _service_rows(sample: Sample) -> list[PaneRow]:
    found = []
    for agent in select_current(sample.agents, sample.taken_at):
        lags = [
            lag
            for name, lag in sample.lags.items()
            if name.split()[0] == agent.service and agent.state is not AgentState.STOPPED
        ]
        behind = max((lag.most_behind for lag in lags), default=None)
        busy = sum(lag.busy for lag in lags) if lags else None
        since = format_since(agent.timestamp, sample.taken_at)
        cells = (
            agent.service,
            agent.instance,
            agent.state.value,
            since,
            _count(behind),
            _count(busy),
            agent.detail or "",
        )
        keys = (
            agent.service,
            agent.instance,
            _STATE_ORDER.index(agent.state),
            -agent.timestamp.timestamp(),
            -(behind or 0),
            -(busy or 0),
            agent.detail or "\uffff",
        )
        style = STATE_STYLES[agent.state]
        lag_style = _WARNING_STYLE if behind else ""
        found.append(PaneRow(cells, keys, ("", "", style, "", lag_style, "", style)))
    return found


def _client_rows(sample: Sample) -> list[PaneRow]:
    edge = sample.edge
    if edge is None:
        return []
    counts = [("stream", name, count) for name, count in edge.streams.items() if count]
    counts += [("user", name, count) for name, count in (edge.users or {}).items() if count]
    counts += [("closed", reason, count) for reason, count in edge.closed.items() if count]
    counts += [("closed", "log read again", edge.repairs)] if edge.repairs else []
    return [
        PaneRow((kind, name, f"{count:,}"), (kind, name, -count), ("", "", ""))
        for kind, name, count in counts
    ]


def _lag_rows(sample: Sample) -> list[PaneRow]:
    return [
        PaneRow(
            (name, filter_, f"{behind:,}", f"{lag.busy:,}"),
            (name, filter_, -behind, -lag.busy),
            ("", "", _WARNING_STYLE if behind else "", ""),
        )
        for name, lag in sample.lags.items()
        for filter_, behind in lag.behind.items()
    ]


def _parked_rows(sample: Sample) -> list[PaneRow]:
    newest = {each.subscription: each for each in sample.parked}
    counts = Counter(each.subscription for each in sample.parked)
    return [
        PaneRow(
            (name, f"{count:,}", newest[name].subject, newest[name].error),
            (name, -count, newest[name].subject, newest[name].error),
            ("", _WARNING_STYLE, "", ""),
        )
        for name, count in counts.items()
    ]


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


PANES = (
    Pane(
        "services",
        "1 Services",
        (
            Column("service"),
            Column("instance"),
            Column("state"),
            Column("since"),
            Column("behind", "right"),
            Column("busy", "right"),
            Column("detail"),
        ),
        _service_rows,
        "no service has reported its state",
    ),
    Pane(
        "clients",
        "2 Clients of this edge, and ends of streams",
        (Column("what"), Column("name"), Column("count", "right")),
        _client_rows,
        "no stream is open, and none was closed",
    ),
    Pane(
        "lag",
        "3 Progress: sequences between what is handled and what is stored",
        (
            Column("service"),
            Column("subscription"),
            Column("behind", "right"),
            Column("busy", "right"),
        ),
        _lag_rows,
        "no service answers for its progress",
        default_sort=2,
    ),
    Pane(
        "parked",
        "4 Parked events",
        (
            Column("subscription"),
            Column("events", "right"),
            Column("newest"),
            Column("error"),
        ),
        _parked_rows,
        "no event is parked",
    ),
)
