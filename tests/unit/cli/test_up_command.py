"""Invalid options and settings that `tapewire up` rejects before it starts a process."""

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
        (["--feed", "/nowhere.csv"], "the feed '/nowhere.csv' is not a file"),
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
