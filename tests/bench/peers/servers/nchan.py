"""nginx with nchan, written in C: one worker, one channel for all readers and one per user."""

import asyncio
import getpass
import shutil
from pathlib import Path

import psutil

from tests.bench.peers import events
from tests.bench.peers.servers.base import (
    REPLAYED_EVENTS,
    BenchServer,
    HttpPipeline,
    free_port,
    wait_until_accepting,
)

MODULE_PATH = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
SETTLE_TIMEOUT_SECONDS = 60.0
PUBLISHER_COUNT = 4

NGINX_CONFIG = """
load_module {module};
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
daemon off;
user {user};
events {{ worker_connections 19000; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    nchan_shared_memory_size 512M;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /pub {{
            nchan_publisher;
            nchan_channel_id $arg_id;
            nchan_message_buffer_length {behind};
            nchan_message_timeout 5m;
        }}
        location = /sub {{
            nchan_subscriber eventsource;
            nchan_channel_id $arg_id;
            nchan_subscriber_first_message newest;
        }}
        location = /behind {{
            nchan_subscriber eventsource;
            nchan_channel_id $arg_id;
            nchan_subscriber_first_message oldest;
        }}
    }}
}}
"""


class Nchan(BenchServer):
    name = "nginx + nchan"
    marker = ": hi"

    @classmethod
    def unavailable_reason(cls) -> str | None:
        if shutil.which("nginx") is None:
            return "no nginx on the PATH (Debian: nginx, libnginx-mod-nchan)"
        return None if MODULE_PATH.exists() else "nginx has no nchan (Debian: libnginx-mod-nchan)"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._pipes: list[HttpPipeline] = []

    async def start(self) -> None:
        self.port = free_port()
        configuration = self.folder / "nginx.conf"
        configuration.write_text(
            NGINX_CONFIG.format(
                module=MODULE_PATH,
                folder=self.folder,
                port=self.port,
                user=getpass.getuser(),
                behind=REPLAYED_EVENTS,
            )
        )
        command = ["nginx", "-p", str(self.folder), "-c", str(configuration)]
        process = self._start_process(command, is_measured=True)
        await wait_until_accepting(self.port, process, self._log_tail)
        (self._measured_process,) = psutil.Process(process.pid).children()[:1]
        self._pipes = [await HttpPipeline.connect(self.port) for _ in range(PUBLISHER_COUNT)]

    async def stop(self) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.terminate()
            process.wait()

    async def request(self, user: str | None, *, gzip: bool = False, last_id: str = "") -> str:
        path = "behind" if last_id else "sub"
        lines = [f"GET /{path}?id={user or 'all'} HTTP/1.1", "Host: bench"]
        if gzip:
            lines.append("Accept-Encoding: gzip")
        return "\r\n".join([*lines, "Accept: text/event-stream", "", ""])

    async def last_event_id(self) -> str | None:
        return "oldest"

    async def wait_stored(self) -> None:
        """nchan responds once it has stored an event. Each channel keeps only as many events as a
        reader is behind, so the earliest are gone once the last is stored."""
        async with asyncio.timeout(SETTLE_TIMEOUT_SECONDS):
            while not all(pipe.wait_all_answered for pipe in self._pipes):  # noqa: ASYNC110 - there is no notification
                await asyncio.sleep(0.01)

    async def publish_to_all(self, number: int) -> None:
        await self._post_event("all", "price:update", events.streamed_quote(number), number)

    async def publish_to_user(self, user: str, number: int) -> None:
        await self._post_event(user, "order:update", events.streamed_order(f"o-{number}"), number)

    async def _post_event(self, channel: str, event: str, data: bytes, number: int) -> None:
        head = (
            f"POST /pub?id={channel} HTTP/1.1\r\nHost: bench\r\nX-EventSource-Event: {event}\r\n"
            f"Content-Length: {len(data)}\r\n\r\n"
        )
        await self._pipes[number % PUBLISHER_COUNT].write(head.encode() + data)
