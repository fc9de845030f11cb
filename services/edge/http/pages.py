"""The pages and every file that a browser loads for them.

The terminal is one page with several paths. `make pages` builds it, its modules under `/assets`,
its worker, and the client under `/client`; an installed package brings all of them. Browsers
revalidate every file (`no-cache`), which keeps a page from mixing modules of two versions after a
deployment. They keep only the files under `/assets`, whose names change with their contents.
Without built pages the edge serves everything else, and says how to build them.
"""

import re
from pathlib import Path
from typing import Any

from litestar import Request, Response, Router, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.static_files import create_static_files_router

WEB_DIRECTORY = Path(__file__).parent.parent / "web"
TERMINAL_DIRECTORY = WEB_DIRECTORY / "dist"
CLIENT_DIRECTORY = Path(__file__).resolve().parents[3] / "libs/client/packages/client/dist"
"""The browser client in a checkout; an installed package has it inside `WEB_DIRECTORY`."""
TERMINAL_PATHS = ["/operations", "/strategies"]
"""The paths of the terminal's router (terminal/src/app/routes.ts)."""
_VALID_PATH = re.compile(r"[A-Za-z0-9._/-]{1,200}")

PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
}
"""Headers in which pages differ from other responses (`security_middleware.SECURITY_HEADERS`)."""
ASSET_HEADERS = {**PAGE_HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}
"""Headers of files whose names contain a digest of their contents."""
PAGES_MISSING = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Tapewire: no pages yet</title>
<h1>The pages are not built</h1>
<p>This edge runs, but its pages were not built. In the checkout, run</p>
<pre>make pages</pre>
<p>and load this page again. The API and <a href="/docs">its description</a> work without it.</p>
</html>
"""


def page_handlers() -> list[HTTPRouteHandler | Router]:
    """The handlers of all files that a browser loads."""
    return [
        _trading_page,
        _dashboard_page,
        _terminal_page,
        _worker,
        _icon,
        _static_files_router("/assets", TERMINAL_DIRECTORY / "assets", ASSET_HEADERS),
        _static_files_router("/static", WEB_DIRECTORY),
        _static_files_router("/client", _client_directory()),
    ]


@get("/", media_type="text/html", include_in_schema=False, sync_to_thread=False)
def _trading_page() -> Response[bytes]:
    return _page(WEB_DIRECTORY / "index.html")


@get("/dashboard", media_type="text/html", include_in_schema=False, sync_to_thread=False)
def _dashboard_page() -> Response[bytes]:
    return _page(WEB_DIRECTORY / "dashboard.html")


@get(TERMINAL_PATHS, media_type="text/html", include_in_schema=False, sync_to_thread=False)
def _terminal_page() -> Response[bytes]:
    return _page(TERMINAL_DIRECTORY / "index.html")


@get("/worker.js", include_in_schema=False, sync_to_thread=False)
def _worker() -> Response[bytes]:
    """The worker of all tabs. Its name is stable, because a worker's address is its identity."""
    return _built_file("worker.js", "text/javascript")


@get("/icon.svg", include_in_schema=False, sync_to_thread=False)
def _icon() -> Response[bytes]:
    return _built_file("icon.svg", "image/svg+xml")


def _built_file(name: str, media_type: str) -> Response[bytes]:
    try:
        content = (TERMINAL_DIRECTORY / name).read_bytes()
    except FileNotFoundError:
        raise NotFoundException from None
    return _with_page_headers(Response(content, media_type=media_type))


def _page(path: Path) -> Response[bytes]:
    is_built = (_client_directory() / "tapewire.js").is_file() and path.is_file()
    content, status = (path.read_bytes(), 200) if is_built else (PAGES_MISSING.encode(), 503)
    return _with_page_headers(Response(content, media_type="text/html", status_code=status))


def _static_files_router(
    path: str, directory: Path, headers: dict[str, str] = PAGE_HEADERS
) -> Router:
    async def add_headers(response: Response[bytes]) -> Response[bytes]:
        response.headers.update(headers)
        return response

    return create_static_files_router(
        path,
        [directory],
        before_request=_reject_invalid_path,
        after_request=add_headers,
        include_in_schema=False,
        name=path.strip("/"),
    )


async def _reject_invalid_path(request: Request[Any, Any, Any]) -> None:
    """Raise NotFoundException for a path that the file system cannot have, such as one with NUL."""
    if not _VALID_PATH.fullmatch(request.scope["path"]):
        raise NotFoundException


def _with_page_headers(response: Response[bytes]) -> Response[bytes]:
    response.headers.update(PAGE_HEADERS)
    return response


def _client_directory() -> Path:
    installed = WEB_DIRECTORY / "client"
    return installed if installed.is_dir() else CLIENT_DIRECTORY
