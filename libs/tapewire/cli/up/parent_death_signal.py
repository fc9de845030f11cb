"""Runs a command that is killed when its parent ends.

    python -I -S parent_death_signal.py PARENT_PID COMMAND...

`up` starts its processes through this script instead of a `preexec_fn`: between fork and exec of a
process with threads, Python code may wait for a lock that no thread will release. The script asks
the kernel (Linux, prctl(2)) to kill it with its parent and then becomes the command. On other
systems it only becomes the command.

It imports no other module of Tapewire and starts in a few milliseconds.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1


def wrap_command(command: Sequence[str]) -> list[str]:
    """Return the command that runs `command` as a child that is killed when this process ends."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def main() -> None:
    """Run the script."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        # SIGKILL also ends a process that is stopped or busy. Everything that runs here is made to
        # survive a loss of power at any moment.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit(f"parent_death_signal: the parent {parent} has already exited")
    try:
        os.execv(command[0], command)  # noqa: S606  # no shell is wanted
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
