"""The life of one `up`: start in order, say ready, wait for a signal, stop in reverse order."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Sequence

import click

from tapewire.cli.up import plan
from tapewire.cli.up.child import Part
from tapewire.cli.up.keeper import StartFailed
from tapewire.cli.up.nats import make_streams_there
from tapewire.cli.up.place import Place, Run
from tapewire.cli.up.supervisor import Supervisor
from tapewire.cli.up.voice import Voice
from tapewire.runtime import Settings

EXIT_FORCED = 1

ECHO_SECONDS = 0.5
"""A signal so soon after the first is the same one: make, timeout and terminals signal a process
and its group, and nobody presses keys so fast."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Life:
    """See the module. `settings` are those that the services get."""

    def __init__(
        self,
        stages: Sequence[Sequence[Part]],
        voice: Voice,
        place: Place,
        listener: socket.socket,
        *,
        settings: Settings,
        embedded: bool,
    ) -> None:
        self._supervisor = Supervisor(stages, voice, changed=self._tell)
        self._voice = voice
        self._place = place
        self._listener = listener
        self._settings = settings
        self._embedded = embedded
        self._url = "http://{}:{}".format(*listener.getsockname()[:2])
        self._stop = asyncio.Event()
        self._asked_at = 0.0

    async def live(self) -> int:
        """The exit code, when all is over."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            code = await self._start()
            if code == 0:
                self._say_ready()
                await self._stop.wait()
        except BaseException:
            self._supervisor.kill()
            raise
        finally:
            # From here on the edge alone holds the socket; it closes it when it begins to drain.
            self._listener.close()
            clean = await self._supervisor.stop()
        with contextlib.suppress(OSError):
            self._place.forget()
        self._voice.say("stopped" if clean else "stopped; not everything went by itself")
        return code or (0 if clean else EXIT_FORCED)

    async def _start(self) -> int:
        starting = asyncio.create_task(self._start_all())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not starting.done():
            starting.cancel()
        try:
            await starting
        except asyncio.CancelledError:
            return 0
        except StartFailed as error:
            self._voice.say(str(error), "error")
            return error.exit_code
        return 0

    async def _start_all(self) -> None:
        if not self._embedded:
            await make_streams_there(
                self._settings.nats_url,
                replicas=self._settings.replicas,
                wait_seconds=self._settings.nats_wait,
            )
        await self._supervisor.start()

    def _say_ready(self) -> None:
        if self._stop.is_set():
            return
        data, nats = self._place.path, self._settings.nats_url
        with contextlib.suppress(OSError):
            click.echo(f"ready {self._url}")
        text = plan.welcome(self._url, nats_url=nats, data_dir=data, sign_in=self._settings.sign_in)
        if self._voice.console:
            self._voice.block(f"Tapewire is up. Try:\n{text}")
        else:
            self._voice.say("ready", url=self._url, nats_url=nats, data_dir=str(data))

    def _on_signal(self, number: signal.Signals) -> None:
        now = asyncio.get_running_loop().time()
        if self._stop.is_set():
            if now - self._asked_at < ECHO_SECONDS:
                return
            self._voice.say(f"{number.name} again: killing everything", "warning")
            self._supervisor.kill()
            return
        self._voice.say(f"{number.name}: stopping; once more to kill everything at once")
        self._asked_at = now
        self._stop.set()

    def _tell(self) -> None:
        """Rewrite `run.json`: a process came, got ready or went."""
        run = Run(
            url=self._url,
            nats_url=self._settings.nats_url,
            pid=os.getpid(),
            pids=self._supervisor.pids,
            ready=self._supervisor.ready,
        )
        try:
            self._place.tell(run)
        except OSError as error:
            self._voice.say(f"cannot write run.json: {error.strerror}", "warning")
