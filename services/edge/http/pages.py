"""The pages and every file that a browser loads for them.

The terminal is one page with several paths. `make pages` builds it, its modules under `/assets`,
its worker, and the client under `/client`; an installed package brings all of them. Browsers
revalidate every file (`no-cache`), which keeps a page from mixing modules of two versions after a
deployment. They keep only the files under `/assets`, whose names change with their contents.
Without built pages the edge serves everything else, and says how to build them.
"""

from pathlib import Path
from typing import Any

from litestar import HttpMethod, Request, Response, route
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from tapewire_services.edge.http.static_files import StaticFolder

WEB_DIRECTORY = Path(__file__).parent.parent / "web"
TERMINAL_DIRECTORY = WEB_DIRECTORY / "dist"
CLIENT_DIRECTORY = Path(__file__).resolve().parents[3] / "libs/client/packages/client/dist"
"""The browser client in a checkout; an installed package has it inside `WEB_DIRECTORY`."""
TERMINAL_PATHS = ["/", "/dashboard", "/operations", "/strategies"]
"""The paths of the terminal's router (terminal/src/app/routes.ts)."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types tapewire"
)
"""Nothing inline, and nothing from elsewhere. The policy `tapewire` makes the address of the shared
worker."""
PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
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


def page_handlers() -> list[HTTPRouteHandler]:
    """The handlers of all files that a browser loads."""
    terminal = StaticFolder(TERMINAL_DIRECTORY, PAGE_HEADERS)
    client = StaticFolder(_client_directory(), PAGE_HEADERS)
    folders = {
        "assets": StaticFolder(TERMINAL_DIRECTORY / "assets", ASSET_HEADERS),
        "client": client,
        "static": StaticFolder(WEB_DIRECTORY, PAGE_HEADERS),
    }

    @_read_handler(TERMINAL_PATHS)
    async def page(request: Request[Any, Any, Any]) -> Response[bytes]:
        if client.has_file("tapewire.js") and terminal.has_file("index.html"):
            return await terminal.respond(request, "index.html")
        content = PAGES_MISSING.encode()
        return Response(content, status_code=503, media_type="text/html", headers=PAGE_HEADERS)

    @_read_handler([f"/{name}/{{path:path}}" for name in folders])
    async def file(request: Request[Any, Any, Any], path: FromPath[str]) -> Response[bytes]:
        folder = folders[request.scope["path"].split("/")[1]]
        return await folder.respond(request, path.removeprefix("/"))

    @_read_handler(["/{name:str}"])
    async def terminal_file(
        request: Request[Any, Any, Any], name: FromPath[str]
    ) -> Response[bytes]:
        """A file with a stable name. The address of the worker, for one, is its identity."""
        if name.endswith(".html"):
            raise NotFoundException
        return await terminal.respond(request, name)

    return [page, file, terminal_file]


def _read_handler(paths: list[str]) -> route:
    """A decorator: the function answers GET and HEAD at `paths`."""
    return route(
        paths,
        http_method=[HttpMethod.GET, HttpMethod.HEAD],
        media_type="application/octet-stream",
        include_in_schema=False,
    )


def _client_directory() -> Path:
    installed = WEB_DIRECTORY / "client"
    return installed if installed.is_dir() else CLIENT_DIRECTORY
