"""Which processor runs what: the server that is measured has one to itself, where there are two."""

import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_ALL = sorted(os.sched_getaffinity(0))
SERVER = frozenset(_ALL[:1])
LOAD = frozenset(_ALL[1:] or _ALL)


def pinned(cores: frozenset[int]) -> Callable[[], None]:
    """For a new process: run on `cores`, and do not outlive the bench."""

    def prepare() -> None:
        os.sched_setaffinity(0, cores)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return prepare
