"""The progress of `make setup`, with a stand-in for pip: the real one fetches for minutes."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
import venv
from pathlib import Path

import psutil
import pytest

from tests.harness.terminal import Terminal

CHECKOUT = Path(__file__).parents[2]
PIP = """
import sys, time
if "-r" in sys.argv:
    for _ in range(3):
        print("Collecting a-package", flush=True)
    time.sleep({seconds})
    print("Installing collected packages: a-package", flush=True)
    time.sleep({seconds})
    sys.exit({code})
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("make") is None, reason="needs make"),
]


def prepare(folder: Path, *, seconds: float = 0.0, code: int = 0) -> None:
    """A checkout in `folder` whose environment has the stand-in."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, folder / name)
    venv.create(folder / ".venv")
    (packages,) = (folder / ".venv" / "lib").glob("python*/site-packages")
    (packages / "pip").mkdir()
    (packages / "pip" / "__init__.py").touch()
    (packages / "pip" / "__main__.py").write_text(PIP.format(seconds=seconds, code=code))


def make_setup(folder: Path, *, seconds: float = 0.0, code: int = 0) -> Terminal:
    """`make setup` at a terminal, in a checkout as of `prepare`."""
    prepare(folder, seconds=seconds, code=code)
    command = ["make", "-C", str(folder), "setup"]
    return Terminal(command, env={**os.environ}, columns=100, rows=24)


def test_a_terminal_sees_how_many_packages_there_are_yet_in_one_line(tmp_path: Path) -> None:
    terminal = make_setup(tmp_path, seconds=2.5)
    try:
        text = terminal.wait_for("3 of ", "packages fetched", "tapewire: installing")
        assert terminal.wait_exited() == 0
        assert text.count("\n") <= 4
        assert (tmp_path / ".venv" / ".fingerprint").is_file()
    finally:
        terminal.close()


def test_an_interrupted_set_up_leaves_no_process_behind(tmp_path: Path) -> None:
    terminal = make_setup(tmp_path, seconds=60)
    try:
        terminal.wait_for("3 of ")
        assert _processes_of(tmp_path)
        os.killpg(terminal.process.pid, signal.SIGINT)
        assert terminal.wait_exited() != 0
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and _processes_of(tmp_path):
            time.sleep(0.05)
        assert _processes_of(tmp_path) == []
    finally:
        terminal.close()


def _processes_of(folder: Path) -> list[psutil.Process]:
    """The processes whose working directory is `folder`."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(folder):
                found.append(process)
    return found


def test_a_pip_that_fails_ends_the_set_up_with_what_to_do(tmp_path: Path) -> None:
    prepare(tmp_path, code=1)
    done = subprocess.run(
        ["make", "-C", str(tmp_path), "setup"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "PIP_INDEX_URL" in done.stderr
    assert not (tmp_path / ".venv" / ".fingerprint").exists()
