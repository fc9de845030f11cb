"""The data directory is used by one `up` at a time, and its `run.json` is always complete."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tapewire.cli.errors import CliError
from tapewire.cli.up import data_dir as place_module
from tapewire.cli.up.data_dir import DataDir, RunState, find_running

RUN = RunState(
    url="http://127.0.0.1:8000",
    nats_url="nats://127.0.0.1:4222",
    pid=1,
    pids={"nats": 2, "edge-0": 3},
    ready=["nats"],
)


def test_only_the_owner_can_access_the_data_directory(tmp_path: Path) -> None:
    data_dir = DataDir.acquire(tmp_path / "deep" / "data")
    assert data_dir.path.stat().st_mode & 0o777 == 0o700
    data_dir.release()


def test_run_json_has_the_documented_fields(tmp_path: Path) -> None:
    data_dir = DataDir.acquire(tmp_path)
    data_dir.write_run_state(RUN)
    assert json.loads((tmp_path / "run.json").read_bytes()) == {
        "url": "http://127.0.0.1:8000",
        "natsUrl": "nats://127.0.0.1:4222",
        "pid": 1,
        "pids": {"nats": 2, "edge-0": 3},
        "ready": ["nats"],
    }
    data_dir.release()


def test_an_open_run_json_stays_complete_while_it_is_rewritten(tmp_path: Path) -> None:
    data_dir = DataDir.acquire(tmp_path)
    data_dir.write_run_state(RUN)
    with (tmp_path / "run.json").open("rb") as opened:
        data_dir.write_run_state(RunState(url="u", nats_url="n", pid=9, pids={}, ready=[]))
        assert json.load(opened)["pid"] == 1
    assert json.loads((tmp_path / "run.json").read_bytes())["pid"] == 9
    data_dir.release()


def test_run_json_is_removed_at_release_and_at_the_next_start(tmp_path: Path) -> None:
    data_dir = DataDir.acquire(tmp_path)
    data_dir.write_run_state(RUN)
    data_dir.release()
    assert not (tmp_path / "run.json").exists()
    (tmp_path / "run.json").write_text("of a run that was killed")
    data_dir = DataDir.acquire(tmp_path)
    assert not (tmp_path / "run.json").exists()
    data_dir.release()


def test_acquiring_a_used_directory_fails_with_the_pid_of_its_user(tmp_path: Path) -> None:
    data_dir = DataDir.acquire(tmp_path)
    with pytest.raises(CliError, match=rf"in use by another tapewire up \(pid {os.getpid()}\)"):
        DataDir.acquire(tmp_path)
    data_dir.release()
    DataDir.acquire(tmp_path).release()


def test_a_directory_stays_locked_while_a_process_of_a_killed_up_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the kernel does not kill children with their parent, the NATS server may continue to write
    the journal. A second server in the same directory would destroy the journal."""
    monkeypatch.setattr(place_module, "ORPHAN_WAIT_SECONDS", 0.1)
    owner = (
        "import os, subprocess, sys; from pathlib import Path;"
        "from tapewire.cli.up.data_dir import DataDir;"
        "place = DataDir.acquire(Path(sys.argv[1]));"
        "child = subprocess.Popen(['sleep', '600'], pass_fds=(place.lock_fd,),"
        "stdout=subprocess.DEVNULL);"
        "print(child.pid, flush=True); os._exit(9)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", owner, str(tmp_path)], stdout=subprocess.PIPE, check=False
    )
    left = int(killed.stdout)
    try:
        with pytest.raises(CliError, match="processes of an earlier tapewire up"):
            DataDir.acquire(tmp_path)
    finally:
        os.kill(left, 9)
    monkeypatch.setattr(place_module, "ORPHAN_WAIT_SECONDS", 60)
    DataDir.acquire(tmp_path).release()


@pytest.mark.parametrize("path", ["/dev/null/x", "/proc/x"])
def test_an_unwritable_path_is_an_error(path: str) -> None:
    with pytest.raises(CliError, match=f"the data directory '{path}' cannot be written"):
        DataDir.acquire(Path(path))


class TestFindRunning:
    def test_a_running_up_is_found_by_its_run_json(self, tmp_path: Path) -> None:
        data_dir = DataDir.acquire(tmp_path)
        run = msgspec.structs.replace(RUN, pid=os.getpid())
        data_dir.write_run_state(run)
        assert find_running(tmp_path) == run
        data_dir.release()
        assert find_running(tmp_path) is None

    @pytest.mark.parametrize("text", ["", "{}", '{"url": 3}', "[", "{"])
    def test_there_is_none_without_a_valid_run_json(self, tmp_path: Path, text: str) -> None:
        assert find_running(tmp_path / "nowhere") is None
        (tmp_path / "run.json").write_text(text)
        assert find_running(tmp_path) is None

    def test_there_is_none_after_up_was_killed(self, tmp_path: Path) -> None:
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        data_dir = DataDir.acquire(tmp_path)
        data_dir.write_run_state(msgspec.structs.replace(RUN, pid=ended.pid))
        assert find_running(tmp_path) is None
        data_dir.release()

    def test_there_is_none_if_the_pid_belongs_to_another_process_by_now(
        self, tmp_path: Path
    ) -> None:
        data_dir = DataDir.acquire(tmp_path)
        data_dir.release()
        state = msgspec.structs.replace(RUN, pid=os.getpid())
        (tmp_path / "run.json").write_bytes(msgspec.json.encode(state))
        assert find_running(tmp_path) is None
