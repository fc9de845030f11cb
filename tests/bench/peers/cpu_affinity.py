"""Assigns processors: the measured server has one to itself if there are at least two."""

import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_AVAILABLE_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORES = frozenset(_AVAILABLE_CORES[:1])
LOAD_CORES = frozenset(_AVAILABLE_CORES[1:] or _AVAILABLE_CORES)


def pin_to_cores(cores: frozenset[int]) -> Callable[[], None]:
    """Return a set-up function for a new process: run on `cores`, and end with the benchmark."""

    def prepare() -> None:
        os.sched_setaffinity(0, cores)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return prepare
