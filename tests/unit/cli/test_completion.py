"""The scripts of `tapewire completion`, and the words that a shell gets at Tab."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from tapewire.cli import COMMANDS, main
from tapewire.cli.completion import SHELLS
from tests.unit.cli.test_addresses import running_up


def complete(*words: str) -> list[str]:
    """What fish is offered for the last of `words`."""
    env = {
        "_TAPEWIRE_COMPLETE": "fish_complete",
        "COMP_WORDS": " ".join(["tapewire", *words]),
        "COMP_CWORD": words[-1],
    }
    result = CliRunner().invoke(main, [], env=env, prog_name="tapewire")
    lines = [line.partition(",")[2] for line in result.stdout.splitlines() if line]
    return [line.partition("\t")[0] for line in lines]


@contextlib.contextmanager
def serve(answer: object) -> Iterator[str]:
    """The URL of an edge that answers every request with `answer`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_asks_tapewire_itself(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0
    assert f"_TAPEWIRE_COMPLETE={shell}_complete" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_valid_in_its_shell(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    script = tmp_path / "completion"
    script.write_text(CliRunner().invoke(main, ["completion", shell]).stdout)
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_shell_is_refused_with_the_known_ones() -> None:
    result = CliRunner().invoke(main, ["completion", "tcsh"])
    assert result.exit_code == 2
    assert all(shell in result.stderr for shell in SHELLS)


class TestWords:
    def test_commands_and_options(self) -> None:
        assert set(complete("")) == set(COMMANDS)
        assert complete("journal", "ba") == ["backup"]
        assert "--data-dir" in complete("status", "--d")

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            (("run", "pri"), "prices"),
            (("tail", "ord"), "orders"),
            (("tail", "ai"), "ai-decisions"),
            (("parked", "retry", "unm"), "unmatched-executions"),
            (("journal", "rebuild", "--view", "orders"), "orders"),
            (("completion", "f"), "fish"),
        ],
    )
    def test_words_of_the_platform(self, words: tuple[str, ...], expected: str) -> None:
        assert expected in complete(*words)

    def test_data_directories_of_running_systems(self, tmp_path: Path) -> None:
        with running_up(tmp_path / "day"):
            assert str(tmp_path / "day") in complete("status", "--data-dir", "")

    def test_symbols_are_those_that_the_addressed_system_quotes(self, tmp_path: Path) -> None:
        prices = [{"symbol": symbol} for symbol in ("IBM", "SPY", "INTC")]
        with serve({"prices": prices}) as url, running_up(tmp_path / "day", url=url):
            address = ("--data-dir", str(tmp_path / "day"))
            assert complete("split", *address, "I") == ["IBM", "INTC"]
            assert complete("tail", "prices", *address, "--symbols", "SPY,IB") == ["SPY,IBM"]

    def test_symbols_need_a_running_system(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert complete("split", "I") == []
        with running_up(tmp_path / ".tapewire", url="http://127.0.0.1:9"):
            assert complete("split", "I") == []

    def test_a_malformed_setting_completes_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TAPEWIRE_SIGN_IN", "maybe")
        assert complete("parked", "retry", "") == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_a_command_line(tmp_path: Path) -> None:
    """As after `eval "$(tapewire completion bash)"`."""
    script = tmp_path / "completion"
    script.write_text(CliRunner().invoke(main, ["completion", "bash"]).stdout)
    program = tmp_path / "tapewire"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m tapewire.cli "$@"\n')
    program.chmod(0o755)
    commands = (
        f"source {script}; COMP_WORDS=({program} journal back); COMP_CWORD=2; "
        f"_tapewire_completion {program} back journal; echo ${{COMPREPLY[@]}}"
    )
    done = subprocess.run(
        ["bash", "-c", commands], env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "backup", done.stderr
