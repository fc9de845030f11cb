"""One process of a service: checks the streams, runs the service, holds while they are unfit.

A process that finds a stream missing or misconfigured, or a journal that has lost events, does not
stop: it holds. It answers probes, with the reason, and looks again every second; nothing of the
service runs meanwhile. The journal is also checked while the service runs, after each reconnect and
every few seconds. Services never create or change a stream: `tapewire provision` does, and
`tapewire journal accept-loss` lets them go on after a loss. Start at `ServiceProcess.run`.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable

import structlog

from tapewire.extras import find_missing_extra
from tapewire.log import LogError, OutcomeUnknown, Unavailable
from tapewire.log.jetstream import NatsConnection
from tapewire.log.jetstream.journal_guard import JournalGuard
from tapewire.log.jetstream.provisioning import find_hold_reasons
from tapewire.runtime.agents import LEASE, AgentMonitor
from tapewire.runtime.app import App
from tapewire.runtime.settings import BadSetting, Settings

CHECK_RETRY_SECONDS = 0.5
HOLD_POLL_SECONDS = 1.0
"""Time between two checks of a process that holds."""
GUARD_INTERVAL_SECONDS = 3.0
"""Time between two checks of the journal while the service runs."""
CONFIRMATION_SECONDS = 1.0
"""A loss must be found twice, this far apart: a server that has just started may not know all."""
MARK_INTERVAL_SECONDS = 2.0
"""Time between two high-water marks."""

Wiring = Callable[[App], Awaitable[None]]
HoldServer = Callable[[Settings, Callable[[], str]], contextlib.AbstractAsyncContextManager[None]]
"""Serves in place of the service while it holds; the second argument returns the reason."""


class ServiceProcess:
    """Runs `wiring` whenever the streams are fit, until `stop` is called. Leases are kept over
    `lease_connection`."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        connection: NatsConnection,
        lease_connection: NatsConnection,
        wiring: Wiring,
        hold_server: HoldServer | None = None,
    ) -> None:
        self._name = name
        self._settings = settings
        self._connection = connection
        self._lease_connection = lease_connection
        self._wiring = wiring
        self._hold_server = hold_server
        self._app: App | None = None
        self._hold_reason: str | None = None
        self._guard = JournalGuard(connection, settings.instance or f"{name}-{os.getpid()}")
        self._check_requested = asyncio.Event()
        self._stop_requested = asyncio.Event()
        self._logger = structlog.get_logger(name)

    def stop(self) -> None:
        """Ask the process to stop."""
        self._stop_requested.set()
        if self._app is not None:
            self._app.stop()

    async def run(self) -> None:
        """Run until stopped.

        Raises:
            Unavailable: JetStream did not answer within `nats_wait` at the start, or NATS closed
                the connection for good.
            BaseException: the service failed.
        """
        health_server = await self._start_health_server()
        try:
            reason = await self._find_hold_reason_when_available()
            while not self._stop_requested.is_set():
                if reason is None:
                    reason = await self._run_service()
                    if reason is None:
                        return
                reason = await self._hold(reason)
        finally:
            await health_server()

    async def _run_service(self) -> str | None:
        """Run the service until it is asked to stop, or must hold; then the reason."""
        listeners = [*self._connection.state_listeners]
        app = self._app = App(
            self._name,
            self._settings,
            self._connection,
            lease_connection=self._lease_connection,
            guard=self._guard,
            on_ready=lambda: self._report_to_parent(b"ready\n"),
        )
        self._connection.state_listeners.append(self._on_connection_state)
        app.add_readiness_check(self._guard.find_problem)
        app.add_readiness_check(app.leases.find_problem)
        app.add_health_check(self._guard.find_capacity_warning)
        app.spawn(self._connection.wait_closed(), name="connection")
        app.spawn(self._lease_connection.wait_closed(), name="lease connection")
        app.spawn(self._guard_journal(app), name="journal guard")
        app.spawn(self._write_marks(), name="journal mark")
        try:
            _start_status_reporting(app)
            await self._wiring(app)
            await app.run_until_stopped()
        except Exception as failure:
            app.failure = failure
            raise
        finally:
            await app.close()
            self._connection.state_listeners[:] = listeners
            self._app = None
        return self._guard.hold_reason if app.is_suspended else None

    def _on_connection_state(self, is_connected: bool) -> None:
        if is_connected:
            self._check_requested.set()
        else:
            self._guard.suspend()

    async def _guard_journal(self, app: App) -> None:
        """Check the journal after each reconnect and every few seconds; suspend the service if
        events are missing."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GUARD_INTERVAL_SECONDS):
                    await self._check_requested.wait()
            self._check_requested.clear()
            try:
                if await self._guard.check() is None:
                    continue
                await asyncio.sleep(CONFIRMATION_SECONDS)
                if await self._guard.check() is None:
                    continue
            except LogError as error:
                self._guard.note_failed_check(str(error))
                self._logger.warning("journal.check_failed", error=str(error))
                await asyncio.sleep(CHECK_RETRY_SECONDS)
                if self._connection.is_connected:
                    self._check_requested.set()
                continue
            app.suspend()
            return

    async def _write_marks(self) -> None:
        while True:
            await asyncio.sleep(MARK_INTERVAL_SECONDS)
            with contextlib.suppress(LogError):
                await self._guard.write_mark()

    async def _hold(self, reason: str) -> str | None:
        """Hold until the streams are fit or the process is asked to stop."""
        self._hold_reason = reason
        self._logger.error("service.held", reason=reason)
        closed = asyncio.create_task(self._connection.wait_closed())
        async with self._serve_while_held():
            self._report_to_parent(b"held\n")
            try:
                while not await self._is_stopped_after(HOLD_POLL_SECONDS):
                    if closed.done():
                        closed.result()
                    found = await self._find_hold_reason_or_last()
                    if found is None:
                        self._logger.info("service.released")
                        self._hold_reason = None
                        return None
                    if found != self._hold_reason:
                        self._hold_reason = found
                        self._logger.error("service.held", reason=found)
            finally:
                closed.cancel()
        return self._hold_reason

    def _serve_while_held(self) -> contextlib.AbstractAsyncContextManager[None]:
        if self._hold_server is None:
            return contextlib.nullcontext()
        return self._hold_server(self._settings, lambda: self._hold_reason or "")

    async def _is_stopped_after(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop_requested.wait()
        return self._stop_requested.is_set()

    async def _find_hold_reason_when_available(self) -> str | None:
        """Why the process must hold; waits for JetStream to start. Raises Unavailable."""
        deadline = asyncio.get_running_loop().time() + self._settings.nats_wait
        while True:
            try:
                return await self._find_hold_reason()
            except (Unavailable, OutcomeUnknown):
                if asyncio.get_running_loop().time() >= deadline:
                    raise
                await asyncio.sleep(CHECK_RETRY_SECONDS)

    async def _find_hold_reason_or_last(self) -> str | None:
        try:
            return await self._find_hold_reason()
        except LogError:
            return self._hold_reason

    async def _find_hold_reason(self) -> str | None:
        async def check_journal() -> list[str]:
            loss = await self._guard.check()
            return [] if loss is None else [loss]

        return "; ".join(await find_hold_reasons(self._connection, check_journal)) or None

    def _report_to_parent(self, line: bytes) -> None:
        """Tell the parent process that this process is ready, or that it holds."""
        if self._settings.ready_fd >= 0:
            with contextlib.suppress(BrokenPipeError):  # it has read what it waited for
                os.write(self._settings.ready_fd, line)

    async def _start_health_server(self) -> Callable[[], Awaitable[None]]:
        """Start to answer probes; the function that ends it."""

        async def close_nothing() -> None: ...

        if not self._settings.health_port:
            return close_nothing
        if missing := find_missing_extra("edge", "TAPEWIRE_HEALTH_PORT"):
            raise BadSetting(missing)
        from tapewire.runtime.health import HealthStatus, serve_health

        def get_status() -> HealthStatus:
            is_connected = self._connection.is_connected
            if self._hold_reason is not None:
                return HealthStatus("held", self._name, is_connected, self._hold_reason)
            if self._app is None or not self._app.is_ready:
                return HealthStatus("starting", self._name, is_connected)
            problem = self._app.find_readiness_problem()
            is_ok = is_connected and problem is None
            return HealthStatus("ok" if is_ok else "degraded", self._name, is_connected, problem)

        server = await serve_health(
            self._settings.health_host, self._settings.health_port, get_status
        )
        return server.close


def _start_status_reporting(app: App) -> None:
    """Report this process's state until it stops, and monitor all services while holding the
    lease."""
    if not app.settings.agent_heartbeat:
        return

    async def report_stopped() -> None:
        # Every user sees this status, so it contains no details of the failure; the log has them.
        failure = app.failure
        await app.status_reporter.report_stopped(
            None if failure is None else f"failed: {type(failure).__name__} (its log says why)"
        )

    app.on_stop(report_stopped)
    app.connection.state_listeners.append(app.status_reporter.on_connection_state)
    app.spawn(app.status_reporter.run(), name="status reporter")
    monitor = AgentMonitor(
        app.log, app.views, app.heartbeats, silence_seconds=app.settings.agent_silence
    )
    app.run_leased(LEASE, monitor.run)
