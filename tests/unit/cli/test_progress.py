"""Progress of long work: a bar on a terminal's stderr, lines elsewhere, and nothing on stdout."""

import os
import subprocess
import sys

import pytest

from tapewire.cli.progress import ProgressDisplay, describe_progress, format_left
from tapewire.log.work_progress import WorkProgress
from tests.harness.terminal import Terminal

PROGRAM = """
import sys, time
import click
from tapewire.cli.progress import ProgressDisplay
from tapewire.log.work_progress import WorkProgress
with ProgressDisplay() as progress:
    for done in range(0, 1001, 100):
        progress(WorkProgress("copying", done, 1000, "events"))
        if done == 500:
            progress.echo("a warning", err=True)
            if len(sys.argv) > 1:
                progress.echo(b"a difference")
        time.sleep(0.05)
click.echo("copied")
"""


class TestLines:
    def test_a_phase_without_counts_is_reported_at_once_and_once(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with ProgressDisplay(lambda: 7.0) as progress:
            for _ in range(3):
                progress(WorkProgress("waiting until all services hold"))
        captured = capsys.readouterr()
        assert captured.err == "waiting until all services hold\n"
        assert captured.out == ""

    def test_counts_are_reported_every_few_seconds_with_rate_and_rest(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        now = 0.0
        with ProgressDisplay(lambda: now) as progress:
            for second in range(12):
                now = float(second)
                progress(WorkProgress("copying", 100 * second, 2000, "events"))
        assert capsys.readouterr().err.splitlines() == [
            "copying: 0 of 2,000 events (0%)",
            "copying: 500 of 2,000 events (25%), 100/s, 15 s left",
            "copying: 1,000 of 2,000 events (50%), 100/s, 10 s left",
        ]

    def test_work_that_is_mostly_short_has_no_line_at_first(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        now = 0.0
        with ProgressDisplay(lambda: now, is_mostly_short=True) as progress:
            progress(WorkProgress("copying", 1, 2, "events"))
            progress(WorkProgress("removing", 2, 2, "events"))
            assert capsys.readouterr().err == ""
            now = 6.0
            progress(WorkProgress("removing", 2, 2, "events"))
        assert capsys.readouterr().err == "removing: 2 of 2 events (100%)\n"

    def test_text_from_outside_is_escaped(self, capsys: pytest.CaptureFixture[str]) -> None:
        with ProgressDisplay() as progress:
            progress(WorkProgress("waiting", note="\x1b[2J"))
        assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("progress", "rate", "text"),
    [
        (WorkProgress("waiting"), None, "waiting"),
        (WorkProgress("removing", 7), None, "removing: 7"),
        (WorkProgress("loading", 7, unit="rows", note="1 malformed"), 2.0,
         "loading: 7 rows, 1 malformed, 2/s"),
        (WorkProgress("copying", 0, 0, "events"), None, "copying: 0 of 0 events"),
        (WorkProgress("copying", 30, 20), 10.0, "copying: 30 of 20 (100%), 10/s, 0 s left"),
    ],
)  # fmt: skip
def test_unknown_figures_are_left_out(
    progress: WorkProgress, rate: float | None, text: str
) -> None:
    assert describe_progress(progress, rate) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.2, "3 s"), (89, "89 s"), (600, "10 min"), (10_000, "2.8 h")]
)
def test_what_remains_is_in_a_fitting_unit(seconds: float, text: str) -> None:
    assert format_left(seconds) == text


class TestTerminal:
    def test_a_bar_is_on_the_terminal_and_the_result_in_the_pipe(self) -> None:
        reading, writing = os.pipe()
        program = [sys.executable, "-c", PROGRAM, "with differences"]
        terminal = Terminal(program, env={**os.environ}, columns=100, rows=24, stdout=writing)
        os.close(writing)
        try:
            terminal.wait_for("copying: 1,000 of 1,000 events (100%)", "left", "a warning", "━")
            assert terminal.wait_exited() == 0
            with os.fdopen(reading) as pipe:
                assert pipe.read() == "a difference\ncopied\n"
        finally:
            terminal.close()

    def test_what_is_printed_meanwhile_stands_above_the_bar(self) -> None:
        program = [sys.executable, "-c", PROGRAM, "with differences"]
        terminal = Terminal(program, env={**os.environ}, columns=100, rows=24)
        try:
            terminal.wait_for("a warning", "a difference", "copied")
            assert terminal.wait_exited() == 0
            lines = [line.strip() for line in terminal.text().replace("\r", "\n").splitlines()]
            assert {"a warning", "a difference", "copied"} <= set(lines)
        finally:
            terminal.close()

    @pytest.mark.parametrize("variable", ["dumb", "unknown"])
    def test_a_terminal_without_control_sequences_gets_lines(self, variable: str) -> None:
        program = [sys.executable, "-c", PROGRAM]
        env = {**os.environ, "TERM": variable}
        terminal = Terminal(program, env=env, columns=100, rows=24)
        try:
            terminal.wait_for("copied")
            assert terminal.wait_exited() == 0
            assert "(0%)" in terminal.text()
            assert b"\x1b[" not in terminal.raw()
        finally:
            terminal.close()

    def test_without_a_terminal_there_is_no_control_sequence(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
        )
        assert done.stdout == "copied\n"
        assert "\x1b" not in done.stderr
        assert "copying: 0 of 1,000 events (0%)" in done.stderr
