"""One run of `up`: start in order, report ready, wait for a signal, stop in reverse order."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Sequence

import click

from tapewire.cli.up import plan
from tapewire.cli.up.child_process import ProcessSpec
from tapewire.cli.up.console import Console
from tapewire.cli.up.data_dir import DataDir, RunState
from tapewire.cli.up.stream_provisioning import provision_external_streams
from tapewire.cli.up.supervisor import StartFailed, Supervisor
from tapewire.log.jetstream import NatsConnection
from tapewire.log.jetstream.credentials import without_credentials
from tapewire.log.jetstream.provisioning import keep_provisioned
from tapewire.runtime import Settings

EXIT_FORCED_STOP = 1

DUPLICATE_SIGNAL_SECONDS = 0.5
"""A signal this soon after the first counts as the same one: make, timeout and terminals signal a
process and its group, and no person presses keys so fast."""

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Lifecycle:
    """Runs the processes of `stages`. `settings` are those that the services get.

    `admin_url` is the embedded server's for an administrator; None for a server that is not ours.
    """

    def __init__(
        self,
        stages: Sequence[Sequence[ProcessSpec]],
        console: Console,
        data_dir: DataDir,
        listener: socket.socket,
        *,
        settings: Settings,
        admin_url: str | None,
    ) -> None:
        self._supervisor = Supervisor(stages, console, on_change=self._write_run_state)
        self._console = console
        self._data_dir = data_dir
        self._listener = listener
        self._settings = settings
        self._admin_url = admin_url
        self._url = "http://{}:{}".format(*listener.getsockname()[:2])
        self._stop_requested = asyncio.Event()
        self._stop_requested_at = 0.0
        self._provisioning: asyncio.Task[None] | None = None

    async def run(self) -> int:
        """Run until a signal stops it, and return the exit code."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            code = await self._start()
            if code == 0:
                self._announce_ready()
                await self._stop_requested.wait()
        except BaseException:
            self._supervisor.kill()
            raise
        finally:
            # From here on only the edge holds the socket; it closes it when it begins to drain.
            self._listener.close()
            clean = await self._supervisor.stop()
            await self._stop_provisioning()
        with contextlib.suppress(OSError):
            self._data_dir.remove_run_state()
        message = "stopped" if clean else "stopped; some processes had to be killed"
        self._console.log("up.stopped", message)
        return code or (0 if clean else EXIT_FORCED_STOP)

    async def _start(self) -> int:
        starting = asyncio.create_task(self._start_all())
        stopping = asyncio.create_task(self._stop_requested.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not starting.done():
            starting.cancel()
        try:
            await starting
        except asyncio.CancelledError:
            return 0
        except StartFailed as error:
            self._console.log("up.start_failed", str(error), "error")
            return error.exit_code
        return 0

    async def _start_all(self) -> None:
        if self._admin_url is None:
            self._provisioning = asyncio.create_task(
                self._keep_provisioned(
                    await provision_external_streams(
                        self._settings.nats_url,
                        credentials=self._settings.nats_credentials(),
                        replicas=self._settings.replicas,
                        journal_bytes=self._settings.journal_bytes,
                        wait_seconds=self._settings.nats_wait,
                    )
                )
            )
        await self._supervisor.start()

    async def _keep_provisioned(self, connection: NatsConnection) -> None:
        """Create the streams in memory again whenever the external server was restarted."""
        try:
            await keep_provisioned(
                connection,
                replicas=self._settings.replicas,
                journal_bytes=self._settings.journal_bytes,
                on_change=lambda change: self._console.log("up.stream_changed", change),
            )
        finally:
            await connection.close()

    async def _stop_provisioning(self) -> None:
        if self._provisioning is not None:
            self._provisioning.cancel()
            await asyncio.wait({self._provisioning})

    def _announce_ready(self) -> None:
        if self._stop_requested.is_set():
            return
        data_dir, nats_url = self._data_dir.path, without_credentials(self._settings.nats_url)
        with contextlib.suppress(OSError):
            click.echo(f"ready {self._url}")
        if self._console.is_human_readable:
            text = plan.format_welcome(
                self._url, nats_url=nats_url, data_dir=data_dir, sign_in=self._settings.sign_in
            )
            self._console.print_block(f"Tapewire is up. Try:\n{text}")
        else:
            self._console.log(
                "up.ready", "ready", url=self._url, nats_url=nats_url, data_dir=str(data_dir)
            )

    def _on_signal(self, number: signal.Signals) -> None:
        now = asyncio.get_running_loop().time()
        if self._stop_requested.is_set():
            if now - self._stop_requested_at < DUPLICATE_SIGNAL_SECONDS:
                return
            message = f"{number.name} again: killing everything"
            self._console.log("up.killing", message, "warning")
            self._supervisor.kill()
            return
        message = f"{number.name}: stopping; once more to kill everything at once"
        self._console.log("up.stopping", message)
        self._stop_requested_at = now
        self._stop_requested.set()

    def _write_run_state(self) -> None:
        run = RunState(
            url=self._url,
            nats_url=self._admin_url or self._settings.nats_url,
            pid=os.getpid(),
            pids=self._supervisor.pids,
            ready=self._supervisor.ready_names,
        )
        try:
            self._data_dir.write_run_state(run)
        except OSError as error:
            message = f"cannot write run.json: {error.strerror}"
            self._console.log("up.run_state_not_written", message, "warning")
