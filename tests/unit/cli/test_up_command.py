"""Invalid options and settings that `tapewire up` rejects before it starts a process."""

import gzip
from pathlib import Path

import pytest
from click.testing import CliRunner

from tapewire.cli import main
from tapewire.cli.up.lifecycle import Lifecycle


@pytest.fixture(autouse=True)
def _nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(_: Lifecycle) -> int:
        raise AssertionError("processes would be started")

    monkeypatch.setattr(Lifecycle, "run", run)


def assert_rejected(message: str, *args: str, **env: str) -> None:
    result = CliRunner().invoke(main, ["up", "--port", "0", *args], env=env)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--feed", "/nowhere.csv"], "the feed '/nowhere.csv' cannot be played: No such file"),
        (["--feed", "/"], "the feed '/' cannot be played: it is not a file"),
        (["--data-dir", "/dev/null/x"], "the data directory '/dev/null/x' cannot be written"),
        (["--speed", "-1"], "Invalid value for '--speed'"),
        (["--speed", "1e9"], "TAPEWIRE_SPEED='1e+09'"),
        (["--workers", "0"], "Invalid value for '--workers'"),
    ],
)
def test_options_that_cannot_work_are_rejected(args: list[str], message: str) -> None:
    assert_rejected(message, *args)


def test_a_malformed_setting_is_rejected_by_its_name(tmp_path: Path) -> None:
    assert_rejected("SSE_FLUSH_MS='soon'", "--data-dir", str(tmp_path), SSE_FLUSH_MS="soon")


HEADER = "ms,symbol,bid,bid_size,ask,ask_size,last,last_size\n"
TICK = "1,IBM,1,1,2,1,,\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER, "it has no tick (0 lines were read)"),
        (HEADER + "\n\n", "it has no tick (0 lines were read)"),
        (HEADER.strip(), "it has no tick (0 lines were read)"),
        ("", "the first line must name the columns"),
        (TICK, "the first line must name the columns"),
        (
            HEADER + "soon,IBM,1,1,2,1,,\n" * 3,
            "3 lines were read; the first fault: line 2, column ms",
        ),
        (HEADER + "1,,1,1,2,1,,\n", "1 lines were read; the first fault: line 2, column symbol"),
        (HEADER + "1,IBM\n", "has 2 fields, not 8"),
    ],
)
def test_a_recording_without_a_tick_is_refused_at_once(
    content: str, message: str, tmp_path: Path
) -> None:
    feed = tmp_path / "day.csv"
    feed.write_text(content)
    assert_rejected(message, "--feed", str(feed), "--data-dir", str(tmp_path / "data"))
    assert not (tmp_path / "data").exists()
    assert_rejected(message, "--data-dir", str(tmp_path / "data"), TAPEWIRE_FEED=str(feed))


def test_a_recording_without_the_symbols_that_are_played_is_refused(tmp_path: Path) -> None:
    feed = tmp_path / "day.csv"
    feed.write_text(HEADER + TICK)
    message = "it has no tick of MSFT, SPY (1 lines were read)"
    assert_rejected(message, "--feed", str(feed), TAPEWIRE_FEED_SYMBOLS="SPY,MSFT")


def test_a_packed_recording_that_is_damaged_before_its_first_tick_is_refused(
    tmp_path: Path,
) -> None:
    feed = tmp_path / "day.csv.gz"
    feed.write_bytes(gzip.compress((HEADER + TICK * 1000).encode())[:40])
    assert_rejected(f"the feed '{feed}' cannot be played", "--feed", str(feed))
