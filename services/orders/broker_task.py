"""Runs the `run` of a broker, which another package may have written, and ends it in any case.

A broker that goes on after it was cancelled can neither be replaced nor left alone: another process
may have its lease. `run_until_failed` then ends this process. Start there.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import structlog

STOP_SECONDS = 5.0
"""How long a broker may take to end after it was cancelled."""
EXIT_NOT_STOPPED = 1

logger = structlog.get_logger("orders.broker")

EndProcess = Callable[[], object]


def end_process() -> NoReturn:
    """End this process at once, whatever its tasks do. What it was doing is repeated by another
    process, as after a loss of power."""
    os._exit(EXIT_NOT_STOPPED)


async def run_until_failed(
    run: Coroutine[Any, Any, None],
    watch: Coroutine[Any, Any, None],
    end_process: EndProcess = end_process,
) -> Exception:
    """Run both until one of them ends, or until cancelled; then end the other one, too.

    `run` is that of a broker. Returns why it has ended; a return and a cancellation of its own are
    failures as well. If it has not ended `STOP_SECONDS` after it was cancelled, `end_process` is
    called.
    """
    # In tasks of their own: Python before 3.13 cannot tell whether a task is being cancelled after
    # a task group in it has failed.
    running, watching = asyncio.create_task(run), asyncio.create_task(watch)
    try:
        await asyncio.wait({running, watching}, return_when=asyncio.FIRST_COMPLETED)
        return _failure_of(running if running.done() else watching)
    finally:
        watching.cancel()
        if not running.done():
            await _stop(running, end_process)
        elif not running.cancelled():
            running.exception()  # asyncio logs those that nobody asked for


async def _stop(running: asyncio.Task[None], end_process: EndProcess) -> None:
    running.cancel()
    loop = asyncio.get_running_loop()
    deadline = loop.call_later(STOP_SECONDS, _give_up, end_process)
    try:
        # One wait, and no timeout of its own: it may be cancelled as well.
        await asyncio.wait({running})
    finally:
        if running.done():
            deadline.cancel()
    if not running.cancelled() and running.exception() is not None:
        logger.warning("broker.stop_failed", error=str(_failure_of(running)))


def _give_up(end_process: EndProcess) -> None:
    logger.error("broker.not_stopped", seconds=STOP_SECONDS)
    end_process()


def _failure_of(ended: asyncio.Task[None]) -> Exception:
    """Why a broker that nobody has cancelled has ended."""
    if ended.cancelled():
        return RuntimeError("its run has cancelled itself")
    error = ended.exception()
    return RuntimeError("its run has returned") if error is None else first_error(error)


def first_error(error: BaseException) -> Exception:
    """The error that a group of errors consists of, the first one if there are several."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, Exception) else RuntimeError(repr(error))
