"""The system under test: `tapewire up` in its own directory, and the resources of its edge."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from tapewire.runtime.nats_access import JETSTREAM_ACCOUNT

START_TIMEOUT_SECONDS = 120


class BenchSystem:
    """A running system."""

    def __init__(self, url: str, data_dir: Path) -> None:
        self.url = url
        self._data_dir = data_dir

    @property
    def nats_url(self) -> str:
        """The URL of the message server."""
        return str(json.loads((self._data_dir / "run.json").read_text())["natsUrl"])

    def stream_file_bytes(self, stream: str) -> int:
        """The size of the files of a stream."""
        folder = self._data_dir / f"jetstream/jetstream/{JETSTREAM_ACCOUNT}/streams/{stream}"
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

    def edge_process(self) -> psutil.Process:
        """The only edge process."""
        return psutil.Process(self._process_ids()["edge-0"])

    def cpu_seconds(self) -> dict[str, float]:
        """CPU seconds used so far, by process."""
        used = {}
        for name, pid in self._process_ids().items():
            times = psutil.Process(pid).cpu_times()
            used[name] = times.user + times.system
        return used

    def restart_edge(self) -> None:
        """Restart the edge with empty memory, and wait until it serves."""
        before = self._process_ids()["edge-0"]
        os.kill(before, signal.SIGKILL)
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            run = json.loads((self._data_dir / "run.json").read_text())
            if run["pids"].get("edge-0") not in (None, before) and "edge-0" in run["ready"]:
                return
            time.sleep(0.05)
        raise TimeoutError("the edge did not come back")

    def _process_ids(self) -> dict[str, int]:
        pids: dict[str, int] = json.loads((self._data_dir / "run.json").read_text())["pids"]
        return pids


EDGE_SETTINGS = {"SSE_MAX_CONNECTIONS_PER_USER": "100000"}
"""The load has few users and many connections."""


@contextlib.contextmanager
def run_system(*options: str) -> Iterator[BenchSystem]:
    """Run a system on a free port and stop it at the end."""
    with tempfile.TemporaryDirectory(prefix="tapewire-bench-") as directory:
        data_dir = Path(directory)
        with (data_dir / "up.log").open("w") as log:
            up = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tapewire.cli", "up", "--port", "0"),
                    *("--data-dir", str(data_dir / "data"), *options),
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "TAPEWIRE_LOG_LEVEL": "warning", **EDGE_SETTINGS},
            )
        assert up.stdout is not None
        try:
            line = up.stdout.readline()
            if not line.startswith("ready "):
                raise RuntimeError((data_dir / "up.log").read_text()[-2000:])
            yield BenchSystem(line.split()[1], data_dir / "data")
        finally:
            up.send_signal(signal.SIGINT)
            up.wait(timeout=120)
            up.stdout.close()
