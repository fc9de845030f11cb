"""A command that reaches nothing names the cure: the platforms that run here, or how to start one.

Every command with an address behaves alike, whichever it is.
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from tapewire.cli import COMMANDS, main
from tapewire.cli.connection import NatsAddress, resolve_edge_url, resolve_nats_address
from tapewire.cli.errors import CliError
from tapewire.cli.up import registry
from tapewire.cli.up.data_dir import DEFAULT_DATA_DIR, DataDir, RunState
from tapewire.runtime import Settings

NOWHERE = "nats://127.0.0.1:9"
ARGUMENTS = {
    "provision": [],
    "status": [],
    "top": ["--once"],
    "tail": ["prices"],
    "notify": ["--user", "a", "--title", "b"],
    "items load": ["-"],
    "items add": ["--title", "a", "--source", "b"],
    "verify": [],
    "parked list": [],
    "parked show": ["a", "1"],
    "parked retry": ["a", "1"],
    "parked drop": ["a", "1"],
    "execution bust": ["--trade", "a"],
    "execution correct": ["--trade", "a", "--qty", "1"],
    "split": ["IBM", "2:1"],
    "journal status": [],
    "journal accept-loss": [],
    "journal archive": ["--before", "1", "--to", "archive"],
    "journal backup": ["backup"],
    "journal erase": ["--user", "a"],
    "journal rebuild": [],
    "journal repair": [],
}
"""The commands with an address, with the arguments that they need; `journal restore` needs a backup
to begin with."""
FOR_A_SERVER = [name for name in ARGUMENTS if name != "tail"]


def leaf_commands(
    command: click.Command, names: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield " ".join(names), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        yield from leaf_commands(child, (*names, name))


def run(command: str, *args: str, **env: str) -> Result:
    return CliRunner().invoke(main, [*command.split(), *ARGUMENTS.get(command, []), *args], env=env)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory without an `up`."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("TAPEWIRE_NATS_URL", raising=False)
    monkeypatch.delenv("TAPEWIRE_NATS_WAIT", raising=False)


@contextlib.contextmanager
def running_up(path: Path, *, nats_url: str = NOWHERE, url: str = "http://there") -> Iterator[None]:
    """A data directory as a running `up` keeps it."""
    data_dir = DataDir.acquire(path)
    data_dir.write_run_state(
        RunState(url=url, nats_url=nats_url, pid=os.getpid(), pids={}, ready=[])
    )
    registry.register(data_dir.path)
    try:
        yield
    finally:
        registry.unregister(data_dir.path)
        data_dir.release()


def test_every_command_with_an_address_takes_a_data_directory() -> None:
    found = {
        name: {option for parameter in command.params for option in parameter.opts}
        for name, command in leaf_commands(main)
    }
    addressed = {name for name, options in found.items() if options & {"--nats", "--url"}} - {"up"}
    assert addressed == {*ARGUMENTS, "journal restore"}
    assert [name for name in addressed if "--data-dir" not in found[name]] == []
    assert {name.split()[0] for name in found} == set(COMMANDS)


@pytest.mark.parametrize("command", ARGUMENTS)
def test_a_data_directory_without_an_up_is_refused_with_the_running_ones(
    command: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with running_up(tmp_path / "day"):
        result = run(command, "--data-dir", str(tmp_path / "empty"))
    assert result.exit_code == 3, result.output
    assert f"no `tapewire up` runs with the data directory '{tmp_path}/empty'" in result.stderr
    assert f"--data-dir {tmp_path}/day (http://there)" in result.stderr


@pytest.mark.parametrize("command", FOR_A_SERVER)
def test_an_address_of_another_directory_is_used(command: str, tmp_path: Path) -> None:
    with running_up(tmp_path / "day"):
        result = run(command, "--data-dir", str(tmp_path / "day"), TAPEWIRE_NATS_WAIT="0.1")
    assert result.exit_code == 3, result.output
    assert f"no NATS server answers at {NOWHERE}" in result.stderr


@pytest.mark.parametrize("command", FOR_A_SERVER)
def test_a_server_that_does_not_answer_is_reported_with_the_platforms_of_this_machine(
    command: str, tmp_path: Path
) -> None:
    env = {"TAPEWIRE_NATS_URL": NOWHERE, "TAPEWIRE_NATS_WAIT": "0.1"}
    with running_up(tmp_path / "day"), running_up(tmp_path / "night", url="http://other"):
        result = run(command, **env)
    assert result.exit_code == 3, result.output
    for name in (f"--data-dir {tmp_path}/day (http://there)", f"{tmp_path}/night (http://other)"):
        assert name in result.stderr
    result = run(command, **env)
    assert "no `tapewire up` runs on this machine; start one with `make run`" in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_edge_that_nobody_named_is_reported_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setattr("tapewire.cli.connection.DEFAULT_EDGE_URL", url)
        assert resolve_edge_url(None) == url
    with running_up(tmp_path / "day"):
        result = run("tail")
    assert result.exit_code == 3
    assert f"no edge answers at {url}" in result.stderr
    assert f"--data-dir {tmp_path}/day (http://there)" in result.stderr


@pytest.mark.parametrize(
    "args",
    [
        ("status", "--nats", NOWHERE),
        ("journal status", "--nats", NOWHERE),
        ("tail", "--url", "http://x"),
    ],
)
def test_two_addresses_contradict_each_other(args: tuple[str, ...], tmp_path: Path) -> None:
    result = run(*args, "--data-dir", str(tmp_path))
    assert result.exit_code == 2
    assert "exclude each other" in result.stderr


class TestPrecedence:
    def test_an_up_of_this_directory_is_used_unless_another_address_is_given(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert resolve_nats_address(None, Settings()) == NatsAddress(
            "nats://127.0.0.1:4222", is_default=True
        )
        with running_up(Path(DEFAULT_DATA_DIR), nats_url="nats://here", url="http://here"):
            assert resolve_edge_url(None) == "http://here"
            assert resolve_edge_url("http://there") == "http://there"
            assert resolve_nats_address(None, Settings()).url == "nats://here"
            assert resolve_nats_address("nats://there", Settings()).url == "nats://there"
            monkeypatch.setenv("TAPEWIRE_NATS_URL", "nats://set")
            assert resolve_nats_address(None, Settings.from_env()).url == "nats://set"

    def test_a_data_directory_precedes_the_environment(self, tmp_path: Path) -> None:
        env = {"TAPEWIRE_NATS_URL": "nats://127.0.0.1:7", "TAPEWIRE_NATS_WAIT": "0.1"}
        with running_up(tmp_path / "day"):
            result = run("status", "--data-dir", str(tmp_path / "day"), **env)
        assert f"answers at {NOWHERE}" in result.stderr


class TestRegistry:
    def test_stopped_and_killed_ups_are_not_listed(self, tmp_path: Path) -> None:
        with running_up(tmp_path / "day"):
            assert [one.data_dir for one in registry.find_all_running()] == [tmp_path / "day"]
        assert registry.find_all_running() == []
        registry.register(tmp_path / "day")  # as if it was killed
        assert registry.find_all_running() == []
        folder = Path(os.environ["XDG_STATE_HOME"]) / "tapewire" / "running"
        assert list(folder.iterdir()) == []

    def test_the_list_is_the_users_own(self, tmp_path: Path) -> None:
        registry.register(tmp_path)
        folder = Path(os.environ["XDG_STATE_HOME"]) / "tapewire" / "running"
        (entry,) = folder.iterdir()
        assert entry.stat().st_mode & 0o777 == 0o600
        assert entry.read_text() == f"{tmp_path}\n"

    @pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"/proc/self\n", b"\0\n"])
    def test_a_damaged_entry_is_left_out(self, content: bytes, tmp_path: Path) -> None:
        registry.register(tmp_path)
        folder = Path(os.environ["XDG_STATE_HOME"]) / "tapewire" / "running"
        (folder / "damaged").write_bytes(content)
        with running_up(tmp_path / "day"):
            assert [one.data_dir for one in registry.find_all_running()] == [tmp_path / "day"]

    def test_a_folder_that_cannot_be_written_lists_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", "/proc/1")
        registry.register(tmp_path)
        registry.unregister(tmp_path)
        assert registry.find_all_running() == []


def test_a_missing_data_directory_is_named(tmp_path: Path) -> None:
    result = run("status", "--data-dir", str(tmp_path / "typo"))
    assert result.exit_code == 3
    assert f"the data directory '{tmp_path}/typo' is not a directory" in result.stderr
    assert f"tapewire up --data-dir {tmp_path}/typo" in result.stderr


def test_the_error_for_an_unreachable_default_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapewire.cli.connection.DEFAULT_EDGE_URL", "http://127.0.0.1:9")
    with pytest.raises(CliError):
        resolve_edge_url(None)
