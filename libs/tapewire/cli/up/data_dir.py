"""The data directory of `up`: a lock file and `run.json`, which lists what is running.

`up` holds the lock, and every process it starts inherits it. The directory is therefore free only
when none of them is left, even if `up` itself was killed.
"""

import contextlib
import fcntl
import os
import time
from pathlib import Path

import msgspec

from tapewire.cli.errors import CliError
from tapewire.cli.up.nats_users import write_private

DEFAULT_DATA_DIR = ".tapewire"
"""The data directory unless `--data-dir` names another one."""
GIVEN_DATA_DIR = "tapewire.data_dir"
"""Where click's context keeps the value of a command's `--data-dir`."""
LOCK_FILE = "lock"
RUN_STATE_FILE = "run.json"

ORPHAN_WAIT_SECONDS = 5.0
"""How long to wait for the processes of an `up` that was killed."""
_POLL_INTERVAL_SECONDS = 0.05


class RunState(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The contents of `run.json`, which only its owner can read.

    `nats_url` is that of an administrator, with the password.
    `pid` is the pid of `up`, `pids` has those of its processes by name, and `ready` names the
    processes that are ready.
    """

    url: str
    nats_url: str
    pid: int
    pids: dict[str, int]
    ready: list[str]


class DataDir:
    """A data directory that this process holds until `release`. Create it with `acquire`."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path = path
        self.lock_fd = lock_fd

    @classmethod
    def acquire(cls, path: Path) -> "DataDir":
        """Create `path` if necessary and lock it.

        Raises:
            CliError: The directory cannot be written, or another `up` uses it.
        """
        path = path.absolute()
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _build_error(path, error) from error
        directory = cls(path, lock)
        try:
            directory._acquire_lock()
            directory._check_writable()
        except BaseException:
            os.close(lock)
            raise
        return directory

    def _acquire_lock(self) -> None:
        deadline = time.monotonic() + ORPHAN_WAIT_SECONDS
        while not _try_lock(self.lock_fd):
            owner = _read_owner_pid(self.lock_fd)
            if _is_alive(owner):
                raise CliError(
                    f"the data directory {str(self.path)!r} is in use by another tapewire up "
                    f"(pid {owner}); stop that, or give this one its own: --data-dir DIR"
                )
            if time.monotonic() >= deadline:
                raise CliError(
                    f"processes of an earlier tapewire up (pid {owner}, gone) still use "
                    f"{str(self.path)!r}; its run.json has their pids: stop them"
                )
            time.sleep(_POLL_INTERVAL_SECONDS)
        os.ftruncate(self.lock_fd, 0)
        os.pwrite(self.lock_fd, f"{os.getpid()}\n".encode(), 0)

    def _check_writable(self) -> None:
        try:
            self.remove_run_state()
            self._replace_file(RUN_STATE_FILE, b"{}\n")
            self.remove_run_state()
        except OSError as error:
            raise _build_error(self.path, error) from error

    def write_run_state(self, state: RunState) -> None:
        """Replace `run.json` atomically. Raises OSError."""
        self._replace_file(RUN_STATE_FILE, msgspec.json.format(msgspec.json.encode(state)) + b"\n")

    def remove_run_state(self) -> None:
        """Remove `run.json`. Raises OSError."""
        (self.path / RUN_STATE_FILE).unlink(missing_ok=True)

    def release(self) -> None:
        """Remove `run.json` and release the lock."""
        with contextlib.suppress(OSError):
            self.remove_run_state()
        os.close(self.lock_fd)

    def _replace_file(self, name: str, data: bytes) -> None:
        write_private(self.path / name, data)


def find_running(path: Path) -> RunState | None:
    """Return the state of the `up` that runs in the data directory `path`, or None.

    The `run.json` of an `up` that was killed does not count, even if its pid belongs to another
    process by now: nobody holds the lock.
    """
    try:
        run = msgspec.json.decode((path / RUN_STATE_FILE).read_bytes(), type=RunState)
    except (OSError, msgspec.DecodeError):
        return None
    return run if _is_alive(run.pid) and is_in_use(path) else None


def is_in_use(path: Path) -> bool:
    """Whether a process holds the lock of the data directory; True if that cannot be found out."""
    try:
        with (path / LOCK_FILE).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:  # also BlockingIOError
        return True
    return False


def _build_error(path: Path, error: OSError) -> CliError:
    return CliError(
        f"the data directory {str(path)!r} cannot be written: {error.strerror}; "
        "name another: --data-dir DIR"
    )


def _try_lock(lock_fd: int) -> bool:
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_owner_pid(lock_fd: int) -> int:
    """Return the pid in the lock file, or 0 while it is being written."""
    with contextlib.suppress(ValueError):
        return int(os.pread(lock_fd, 32, 0))
    return 0


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
