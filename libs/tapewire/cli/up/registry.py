"""The data directories whose `up` runs, so that a command in another directory can name them.

Each `up` writes the path of its data directory into a file of a folder of the user, and removes the
file when it stops. A file that a killed `up` left is removed when it is found: whether an `up` runs
is decided by its data directory alone (`find_running`).
"""

import contextlib
import hashlib
import os
from pathlib import Path

import msgspec

from tapewire.cli.up.data_dir import RunState, find_running, is_in_use
from tapewire.cli.up.nats_users import write_private

STATE_HOME_VARIABLE = "XDG_STATE_HOME"
MAX_ENTRIES = 100
"""More files are not read."""


class RunningUp(msgspec.Struct, frozen=True):
    """A running `up`: its data directory, and its run.json."""

    data_dir: Path
    state: RunState


def register(data_dir: Path) -> None:
    """List `data_dir`. Without a folder that can be written, nothing is listed."""
    with contextlib.suppress(OSError, RuntimeError):
        folder = _folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(folder / _entry_name(data_dir), f"{data_dir.resolve()}\n".encode())


def unregister(data_dir: Path) -> None:
    """Remove `data_dir` from the list."""
    with contextlib.suppress(OSError, RuntimeError):
        (_folder() / _entry_name(data_dir)).unlink(missing_ok=True)


def find_all_running() -> list[RunningUp]:
    """Every `up` of this user that runs on this machine, sorted by data directory."""
    found: list[RunningUp] = []
    with contextlib.suppress(OSError, RuntimeError):
        for entry in sorted(_folder().iterdir())[:MAX_ENTRIES]:
            with contextlib.suppress(OSError, ValueError):
                data_dir = Path(entry.read_text().rstrip("\n"))
                state = find_running(data_dir)
                if state is not None:
                    found.append(RunningUp(data_dir, state))
                elif not is_in_use(data_dir):  # else it is starting or stopping
                    entry.unlink(missing_ok=True)
    return sorted(found, key=lambda one: one.data_dir)


def _folder() -> Path:
    """The folder of the list. Raises RuntimeError if the user has no home directory."""
    given = os.environ.get(STATE_HOME_VARIABLE, "")
    base = Path(given) if Path(given).is_absolute() else Path.home() / ".local" / "state"
    return base / "tapewire" / "running"


def _entry_name(data_dir: Path) -> str:
    return hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
