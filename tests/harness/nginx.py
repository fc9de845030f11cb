"""Runs Debian's nginx as a child process, with the configuration file that docs/ gives to
operators.

`site_config` replaces only what depends on the machine: the addresses of the edges, the port, and
the path of the log. A minimal main block surrounds it.
"""

import grp
import os
import pwd
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.harness.edge import EdgeClient
from tests.harness.nats_servers import _set_parent_death_signal

SITE_CONFIG_PATH = Path(__file__).parents[2] / "docs" / "nginx.conf"
START_TIMEOUT_SECONDS = 30.0
POLL_INTERVAL_SECONDS = 0.01

_MAIN_CONFIG = """
daemon off;
# One process: it ends with the tests, however they end.
master_process off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def nginx_binary() -> str | None:
    """The path of nginx; Debian installs it in a folder that only root's PATH has."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def require_nginx() -> None:
    """Skip the test, or all tests of the fixture, where nginx is not installed."""
    if nginx_binary() is None:
        pytest.skip("no nginx here; Debian and Ubuntu: apt-get install nginx-light")


class ReservedPort:
    """A port that is bound and not listened on. No other process can get it while its owner is
    down, and connections to it are refused."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])

    def close(self) -> None:
        self._socket.close()


def site_config(
    edges: Sequence[int],
    port: int,
    log: Path,
    extra_lines: Mapping[str, str] | None = None,
    text: str | None = None,
) -> str:
    """The file of docs/ for edges at these local ports; `extra_lines` maps further lines to their
    replacements. Raises AssertionError if a line to replace is missing."""
    text = SITE_CONFIG_PATH.read_text() if text is None else text
    text, found = re.subn(r"( +server )127\.0\.0\.1:\d+( [^;]*;\n)", r"\1@\2", text)
    assert found >= 2, f"{SITE_CONFIG_PATH} has {found} lines of edges"
    one = re.search(r" +server @[^\n]*\n", text)
    assert one is not None
    lines = "".join(one[0].replace("@", f"127.0.0.1:{edge}") for edge in edges)
    text = text.replace(one[0], lines, 1).replace(one[0], "")
    ours = {"listen 8080 ": f"listen 127.0.0.1:{port} ", "/var/log/nginx/tapewire.log": str(log)}
    for line, instead in {**ours, **(extra_lines or {})}.items():
        assert text.count(line) == 1, (
            f"{line!r} occurs {text.count(line)} times in {SITE_CONFIG_PATH}"
        )
        text = text.replace(line, instead)
    return text


class NginxProcess(EdgeClient):
    """A running nginx in front of `edges`, the ports of edge processes. It speaks TLS if
    `extra_lines` make it, and then `scheme` is https."""

    def __init__(
        self,
        folder: Path,
        edges: Sequence[int],
        extra_lines: Mapping[str, str] | None = None,
        *,
        scheme: str = "http",
    ) -> None:
        found = nginx_binary()
        assert found is not None, "no nginx"
        folder.mkdir(parents=True)
        self._reserved = ReservedPort()
        self.port = self._reserved.port
        super().__init__(f"{scheme}://127.0.0.1:{self.port}")
        self._error_log, self._access_log = folder / "error.log", folder / "access.log"
        (folder / "site.conf").write_text(
            site_config(edges, self.port, self._access_log, extra_lines)
        )
        (folder / "main.conf").write_text(
            _MAIN_CONFIG.format(folder=folder, user=_user_directive())
        )
        command = [found, "-p", str(folder), "-c", str(folder / "main.conf")]
        with (folder / "out.log").open("wb") as out:
            self._process = subprocess.Popen(  # noqa: PLW1509, RUF100
                [*command, "-e", str(self._error_log)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                preexec_fn=_set_parent_death_signal,
            )
        self._wait_ready()

    @property
    def pid(self) -> int:
        return self._process.pid

    def error_log_lines(self) -> str:
        """The lines of its error log."""
        return self._error_log.read_text() if self._error_log.exists() else ""

    def access_log_lines(self) -> list[str]:
        """The lines of its access log, one per completed request."""
        return self._access_log.read_text().splitlines() if self._access_log.exists() else []

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reserved.close()

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(POLL_INTERVAL_SECONDS)
        self.close()
        raise AssertionError(f"nginx did not start: {self.error_log_lines()[-2000:]}")


def _user_directive() -> str:
    """When root starts nginx, its workers run as a user who may not read the tests' folder."""
    if os.geteuid() != 0:
        return ""
    return f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};"
