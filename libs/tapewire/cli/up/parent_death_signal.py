"""Runs a command that dies with its parent: ``python -I -S tether.py PARENT_PID COMMAND...``

`up` starts its processes through this program, not through a `preexec_fn`: between fork and exec
of a process with threads, Python code may meet a lock that nobody will ever release. Here an
ordinary process asks the kernel (Linux, prctl(2)) to be killed with its parent, and becomes the
command. Elsewhere than on Linux it just becomes the command.

Imports nothing of ours: it starts in a few milliseconds.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """See the module."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        # SIGKILL, not SIGTERM: also a process that is stopped, or busy for ever, must be gone, and
        # whatever lives here is made to lose its power at any moment.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit(f"parent_death_signal: the parent {parent} is gone already")
    try:
        os.execv(command[0], command)  # noqa: S606  # no shell is wanted
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
