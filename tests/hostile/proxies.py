"""The table of proxies, and how each is started before an edge."""

import contextlib
import enum
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from tests.harness.certificates import CertificateAuthority
from tests.harness.nginx import NginxProcess
from tests.harness.relays import cut_after, hold_back, run_relay, slice_up


class HostileProxy(enum.Enum):
    """A proxy; the value says what it does."""

    BUFFERS = "nginx that buffers"
    CUTS = "cuts each connection after some seconds"
    HOLDS = "holds 4 KiB before it passes them on"
    HTTP_1_0 = "nginx that speaks HTTP/1.0 to the edge"
    STRIPS = "nginx that strips Last-Event-ID"
    HTTP_2 = "nginx with TLS and HTTP/2 in front"
    COMPRESSES = "nginx that compresses"
    SLICES = "passes on seven bytes at a time"


LINE_FOR_VERSION = "proxy_http_version 1.1;"
LINE_FOR_HEADERS = 'proxy_set_header Connection "";'
LINE_FOR_BUFFERS = "proxy_pass_header X-Accel-Buffering;"
NGINX_LINES: Mapping[HostileProxy, Mapping[str, str]] = {
    # Of a chunked response nginx passes on each chunk, whatever is set.
    HostileProxy.BUFFERS: {
        LINE_FOR_VERSION: "proxy_http_version 1.0;",
        LINE_FOR_BUFFERS: "proxy_ignore_headers X-Accel-Buffering; proxy_buffering on;",
    },
    HostileProxy.HTTP_1_0: {LINE_FOR_VERSION: "proxy_http_version 1.0;"},
    HostileProxy.STRIPS: {
        LINE_FOR_HEADERS: f'{LINE_FOR_HEADERS} proxy_set_header Last-Event-ID "";'
    },
    HostileProxy.COMPRESSES: {
        LINE_FOR_HEADERS: f'{LINE_FOR_HEADERS} proxy_set_header Accept-Encoding "";',
        "gzip off;": "gzip on; gzip_types *; gzip_proxied any; gzip_min_length 0;",
    },
}
"""What each nginx changes in the configuration of docs/."""
BUFFERING = frozenset({HostileProxy.BUFFERS, HostileProxy.HOLDS})
"""Proxies behind which no stream is live."""


@contextlib.asynccontextmanager
async def run_proxy(
    proxy: HostileProxy, folder: Path, edge_port: int, cut_seconds: float
) -> AsyncIterator[str]:
    """Run `proxy` before the edge; yield its URL. Those that do not buffer lose each connection to
    the edge after `cut_seconds`, so that clients must resume behind them."""
    async with contextlib.AsyncExitStack() as running:
        if proxy not in BUFFERING:
            cutter = await running.enter_async_context(run_relay(edge_port, cut_after(cut_seconds)))
            edge_port = int(cutter.rpartition(":")[2])
        match proxy:
            case HostileProxy.CUTS:
                yield cutter
            case HostileProxy.HOLDS:
                yield await running.enter_async_context(run_relay(edge_port, hold_back))
            case HostileProxy.SLICES:
                yield await running.enter_async_context(run_relay(edge_port, slice_up))
            case _:
                yield await running.enter_async_context(_run_nginx(proxy, folder, edge_port))


@contextlib.asynccontextmanager
async def _run_nginx(proxy: HostileProxy, folder: Path, edge_port: int) -> AsyncIterator[str]:
    lines, scheme = dict(NGINX_LINES.get(proxy, {})), "http"
    if proxy is HostileProxy.HTTP_2:
        folder.mkdir(parents=True)
        certificate, key = CertificateAuthority("hostile").issue("nginx", folder)
        lines["sndbuf=128k;"] = (
            f"ssl http2 sndbuf=128k; ssl_certificate {certificate}; ssl_certificate_key {key};"
        )
        scheme = "https"
    nginx = NginxProcess(folder / "nginx", [edge_port, edge_port], lines, scheme=scheme)
    try:
        yield nginx.url
    finally:
        nginx.close()
