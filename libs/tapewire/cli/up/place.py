"""The data directory of `up`: who uses it (`lock`), and what runs now (`run.json`).

The lock is held by `up` and by every process it starts, which inherit it: a directory is free when
nobody works in it any more, even if `up` itself was killed.
"""

import contextlib
import fcntl
import os
import time
from pathlib import Path

import msgspec

from tapewire.cli.trouble import Trouble

DATA_DIR = ".tapewire"
"""Of an `up` that is not told another one."""
LOCK = "lock"
RUN = "run.json"

LEFTOVERS_SECONDS = 5.0
"""How long the processes of an `up` that was killed may take to be gone."""
_TRY_SECONDS = 0.05


class Run(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What runs: `pid` is that of `up`, `pids` are those of its processes by name, and `ready`
    names those that are ready."""

    url: str
    nats_url: str
    pid: int
    pids: dict[str, int]
    ready: list[str]


class Place:
    """A data directory that is ours until `release`. Made by `claim`."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.lock = lock

    @classmethod
    def claim(cls, path: Path) -> "Place":
        """Make `path` if need be, and take it for ourselves.

        Raises:
            Trouble: it cannot be written, or another `up` works in it.
        """
        path = path.absolute()
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(path, error) from error
        place = cls(path, lock)
        try:
            place._take()
            place._check_writable()
        except BaseException:
            os.close(lock)
            raise
        return place

    def _take(self) -> None:
        deadline = time.monotonic() + LEFTOVERS_SECONDS
        while not _locked(self.lock):
            owner = _owner(self.lock)
            if _alive(owner):
                raise Trouble(
                    f"the data directory {str(self.path)!r} is in use by another tapewire up "
                    f"(pid {owner}); stop that, or give this one its own: --data-dir DIR"
                )
            if time.monotonic() >= deadline:
                raise Trouble(
                    f"processes of an earlier tapewire up (pid {owner}, gone) still use "
                    f"{str(self.path)!r}; its run.json has their pids: stop them"
                )
            time.sleep(_TRY_SECONDS)
        os.ftruncate(self.lock, 0)
        os.pwrite(self.lock, f"{os.getpid()}\n".encode(), 0)

    def _check_writable(self) -> None:
        try:
            self.forget()
            self._replace(RUN, b"{}\n")
            self.forget()
        except OSError as error:
            raise _unusable(self.path, error) from error

    def tell(self, run: Run) -> None:
        """Write `run.json`, whole or not at all. Raises OSError."""
        self._replace(RUN, msgspec.json.format(msgspec.json.encode(run)) + b"\n")

    def forget(self) -> None:
        """Remove `run.json`. Raises OSError."""
        (self.path / RUN).unlink(missing_ok=True)

    def release(self) -> None:
        """Let the directory go; nothing in it is of a run any more."""
        with contextlib.suppress(OSError):
            self.forget()
        os.close(self.lock)

    def _replace(self, name: str, data: bytes) -> None:
        new = self.path / f".{name}.new"
        new.write_bytes(data)
        new.replace(self.path / name)


def running(path: Path) -> Run | None:
    """What an `up` that lives has in the data directory `path`; None when none does."""
    try:
        run = msgspec.json.decode((path / RUN).read_bytes(), type=Run)
    except (OSError, msgspec.DecodeError):
        return None
    return run if _alive(run.pid) else None


def _unusable(path: Path, error: OSError) -> Trouble:
    return Trouble(
        f"the data directory {str(path)!r} cannot be written: {error.strerror}; "
        "name another: --data-dir DIR"
    )


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(lock: int) -> int:
    """The pid in the lock; 0 when it is being written just now."""
    with contextlib.suppress(ValueError):
        return int(os.pread(lock, 32, 0))
    return 0


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
