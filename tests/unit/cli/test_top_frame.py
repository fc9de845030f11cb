"""What `tapewire top` draws from a sample, in terminals of any size."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from rich.console import Console

from tapewire.cli.rates import RateMeter
from tapewire.cli.top.edge_figures import _Counts, build_figures, parse_metrics
from tapewire.cli.top.formats import format_bytes, format_rate, format_since
from tapewire.cli.top.frame import Choices, draw, draw_all
from tapewire.cli.top.panes import PANES
from tapewire.cli.top.samples import EdgeFigures, Lag, PlayedFeed, Sample
from tapewire.events import AgentState, AgentStatusChanged
from tapewire.log.bounds import Bounds
from tapewire.log.failed_event_store import FailedEvent
from tapewire.log.jetstream.journal_growth import JournalGrowth
from tapewire.log.jetstream.journal_record import JournalExtent

NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
SIZES = [(80, 24), (100, 30), (150, 40), (200, 60), (40, 10)]


def agent(service: str, state: AgentState = AgentState.RUNNING, **more: Any) -> AgentStatusChanged:
    fields: dict[str, Any] = {
        "service": service,
        "instance": "one",
        "state": state,
        "detail": None,
        "timestamp": NOW - timedelta(minutes=3),
    }
    return AgentStatusChanged(**fields | more)


def parked(subscription: str, sequence: int, error: str = "KeyError: 'bid'") -> FailedEvent:
    return FailedEvent(
        subscription=subscription,
        sequence=sequence,
        subject=f"ev.ann.orders.{sequence}",
        event_id="e",
        tag="order.placed.v1",
        error=error,
        attempts=10,
        failed_at=NOW,
        next_attempt_at=None,
    )


def edge(**more: Any) -> EdgeFigures:
    figures = EdgeFigures(
        connections=3,
        live=3,
        everywhere=5,
        user_count=2,
        outbox_bytes=2048,
        repairs=1,
        closed={"slow": 2, "gone": 7, "limit": 0},
        streams={"/api/stream/orders": 2, "/api/stream": 1},
        users={"ann": 3, "bob": 2},
    )
    return msgspec.structs.replace(figures, **more)


def sample(**more: Any) -> Sample:
    full = Sample(
        taken_at=NOW,
        answered_at=NOW,
        agents=[agent("orders"), agent("prices", AgentState.DEGRADED, detail="the feed is silent")],
        lags={
            "orders": Lag(busy=2, behind={"ev.*.orders.>": 14}),
            "alerts notifying": Lag(busy=0, behind={"ev.*.alerts.>": 0}),
        },
        extent=JournalExtent(
            bounds=Bounds("e1", 1, 1000),
            created=NOW.isoformat(),
            event_count=1000,
            gap_count=0,
            byte_count=500_000_000,
            max_bytes=1_000_000_000,
        ),
        growth=JournalGrowth(bytes_per_day=1e8, days_left=5.0),
        quoted_at=NOW - timedelta(seconds=1),
        feed=PlayedFeed(name="recording day.csv", symbol_count=8, has_ended=False, fault_count=0),
        edge=edge(),
        events_per_second=123.4,
        orders_per_second=20.25,
        quotes_per_second=None,
    )
    return msgspec.structs.replace(full, **more)


def print_frame(
    given: Sample,
    choices: Choices | None = None,
    size: tuple[int, int] = (80, 24),
    **console_options: Any,
) -> list[str]:
    """The lines of a frame as a terminal of `size` gets them."""
    console = Console(
        file=io.StringIO(), width=size[0], height=size[1], highlight=False, **console_options
    )
    console.print(draw(given, choices or Choices(), title="nats://here", size=size))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_the_head_has_the_figures_of_the_whole_system() -> None:
    text = "\n".join(print_frame(sample()))
    for expected in (
        "nats://here",
        "journal   1,000 events, 500.0 MB, 50.0% of 1.0 GB, days left: 5.0",
        "activity  20.2 orders/s   123 events/s   - quotes/s",
        "prices    fresh: the last quote 1.0 s ago; 8 symbols of recording day.csv",
        "clients   5 streams of 2 users, 3 follow the log; 2.0 kB wait; 2 closed as slow",
        "parked    none",
    ):
        assert expected in text


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pane", range(len(PANES)))
def test_a_frame_of_a_large_system_fits_the_terminal(pane: int, size: tuple[int, int]) -> None:
    crowded = sample(
        agents=[agent(f"service{n}", detail="x" * 300) for n in range(100)],
        lags={f"service{n}": Lag(busy=n, behind={"ev.*.orders.>" * 5: n}) for n in range(100)},
        parked=[parked(f"reader-{n}@team", n, "E" * 300) for n in range(100)],
        edge=edge(users={f"user{n}" * 9: n + 1 for n in range(100)}),
        hold_reasons=["the journal is gone"] * 9,
    )
    lines = print_frame(crowded, Choices(pane=pane), size)
    assert len(lines) <= size[1]
    assert max(map(len, lines)) <= size[0]
    assert "more rows" in "\n".join(lines) or size == (40, 10)


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (160, 40)])
def test_a_long_detail_leaves_the_other_columns_readable(size: tuple[int, int]) -> None:
    given = sample(agents=[agent("strategies", AgentState.DEGRADED, detail="word " * 60)])
    (line,) = [line for line in print_frame(given, size=size) if "word" in line]
    assert line.startswith("strategies  one       degraded  3m 0s")
    assert "…" in line


def test_a_wide_terminal_shows_two_panes() -> None:
    text = "\n".join(print_frame(sample(), size=(160, 40)))
    assert "1 Services" in text
    assert "2 Clients" in text
    assert "2 Clients" not in "\n".join(print_frame(sample(), size=(100, 40)))


@pytest.mark.parametrize(
    ("pane", "expected"),
    [
        (0, ["prices", "degraded", "3m 0s", "the feed is silent"]),
        (1, ["/api/stream/orders", "ann", "log read again", "slow"]),
        (2, ["alerts notifying", "ev.*.orders.>", "14"]),
        (3, ["reader@team", "ev.ann.orders.9", "KeyError: 'bid'"]),
    ],
)
def test_every_pane_has_its_rows(pane: int, expected: list[str]) -> None:
    given = sample(parked=[parked("reader@team", 9)])
    text = "\n".join(print_frame(given, Choices(pane=pane), (110, 30)))
    assert all(word in text for word in expected), text


def test_a_pane_is_sorted_by_the_chosen_column() -> None:
    given = sample(agents=[agent("alerts"), agent("orders", AgentState.DEGRADED)])
    by_service = "\n".join(print_frame(given))
    by_state = "\n".join(print_frame(given, Choices(sorts={"services": 2})))
    assert by_service.index("alerts") < by_service.index("orders  ")
    assert "1 Services, by state" in by_state
    assert by_state.index("degraded") < by_state.index("running")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nats_problem": "no connection to NATS", "answered_at": NOW - timedelta(seconds=9)},
         "NATS does not answer, these figures are 9 s old: no connection to NATS"),
        ({"hold_reasons": ["the journal is gone"]}, "on hold: the journal is gone"),
        ({"quoted_at": None}, "no quote yet; 8 symbols"),
        ({"quoted_at": NOW - timedelta(seconds=70)}, "stale: no quote for 70 s"),
        ({"feed": PlayedFeed(name="f", symbol_count=1, has_ended=True, fault_count=3)},
         "1 symbols of f, which has ended, 3 faults"),
        ({"edge": None, "edge_problem": "the edge does not answer"}, "the edge does not answer"),
        ({"edge_problem": "gone"}, "gone; before: 5 streams"),
        ({"extent": None}, "journal   not known"),
        ({"growth": None}, "days left: not known yet"),
        ({"parked": [parked("a@b", 1), parked("a@b", 2)]}, "2 events of a@b: see `tapewire parked"),
        ({"agents": []}, "no service has reported its state"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_in_words(change: dict[str, Any], words: str) -> None:
    assert words in "\n".join(print_frame(sample(**change), size=(140, 30)))


def test_words_carry_the_meaning_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = "\n".join(print_frame(sample(), force_terminal=True))
    assert "degraded" in text
    assert "\x1b[3" not in text, "a colour"


@pytest.mark.parametrize("hostile", ["\x1b[2J", "a\nb", "\r", "\x9b1A", "[red]x[/red]", "[/]"])
def test_text_from_outside_moves_no_cursor_and_is_no_markup(hostile: str) -> None:
    given = sample(
        agents=[agent("orders", detail=hostile, instance=hostile)],
        parked=[parked(hostile, 1, hostile)],
        hold_reasons=[hostile],
        edge=edge(users={hostile: 1}),
    )
    for pane in range(len(PANES)):
        lines = print_frame(given, Choices(pane=pane), (120, 30))
        assert len(lines) <= 30
        assert not any(char in line for line in lines for char in "\x1b\r\x9b")
    if hostile.startswith("["):
        assert hostile in "\n".join(print_frame(given, size=(120, 30)))


def test_all_panes_are_printed_at_once_in_full() -> None:
    console = Console(file=io.StringIO(), width=120, highlight=False)
    many = sample(agents=[agent(f"service{n}") for n in range(60)])
    console.print(draw_all(many, title="x", columns=120))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert all(pane.title in text for pane in PANES)
    assert "service59" in text


class TestRateMeter:
    def test_the_rate_is_that_of_the_last_ten_seconds(self) -> None:
        meter = RateMeter()
        assert meter.add(0.0, 100) is None
        assert meter.add(2.0, 120) == 10
        rates = [meter.add(2.0 * n, 120) for n in range(2, 9)]
        assert rates[-1] == 0

    def test_a_counter_that_began_again_has_no_rate_yet(self) -> None:
        meter = RateMeter()
        meter.add(0.0, 100)
        meter.add(1.0, 110)
        assert meter.add(2.0, 3) is None
        assert meter.add(3.0, 8) == 5


class TestEdgeFigures:
    METRICS = (
        "# HELP tapewire_connections x\n# TYPE tapewire_connections gauge\n"
        "tapewire_connections 3\ntapewire_connections_live 2\ntapewire_outbox_bytes 10\n"
        'tapewire_tape_repairs_total 1\ntapewire_connections_closed_total{reason="slow"} 4\n'
        'tapewire_stream_connections{path="/api/stream"} 3\nnot a sample\n'
    )

    def test_figures_are_read_from_the_metrics_and_counts(self) -> None:
        counts = _Counts(total_clients=9, total_users=2)
        figures = build_figures(self.METRICS, counts)
        assert (figures.connections, figures.everywhere, figures.users) == (3, 9, None)
        assert (figures.closed, figures.streams) == ({"slow": 4}, {"/api/stream": 3})

    def test_metrics_of_another_program_are_refused(self) -> None:
        with pytest.raises(KeyError):
            build_figures("go_goroutines 7\n", _Counts(total_clients=0, total_users=0))

    def test_comments_and_other_lines_are_no_samples(self) -> None:
        assert len(list(parse_metrics(self.METRICS))) == 6


@pytest.mark.parametrize(
    ("formatted", "expected"),
    [
        (format_bytes(0), "0 B"),
        (format_bytes(999), "999 B"),
        (format_bytes(1_500_000), "1.5 MB"),
        (format_bytes(3e15), "3,000.0 TB"),
        (format_rate(None), "-"),
        (format_rate(0.04), "0.0"),
        (format_rate(1234.5), "1,234"),
        (format_since(NOW - timedelta(seconds=5), NOW), "5s"),
        (format_since(NOW - timedelta(seconds=65), NOW), "1m 5s"),
        (format_since(NOW - timedelta(hours=49, minutes=30), NOW), "2d 1h"),
        (format_since(NOW + timedelta(seconds=5), NOW), "0s"),
    ],
)
def test_numbers_are_short(formatted: str, expected: str) -> None:
    assert formatted == expected
