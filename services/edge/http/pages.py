"""The pages at `/` and `/dashboard`, their files under `/static`, their client under `/client`.

Browsers ask each time whether a file changed (`no-cache`), so that a deploy never leaves a page
with modules of two versions.
"""

import re
from pathlib import Path
from typing import Any

from litestar import Request, Response, Router, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.static_files import create_static_files_router

WEB = Path(__file__).parent.parent / "web"
CLIENT = Path(__file__).parents[3] / "libs" / "client"
"""The browser client, in a checkout; an installed package holds it beside the page."""
_NAME = re.compile(r"[A-Za-z0-9._/-]{1,200}")

HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def pages() -> list[HTTPRouteHandler | Router]:
    """Everything that a browser loads."""
    return [_trading, _dashboard, _files("/static", WEB), _files("/client", _client())]


@get("/", media_type="text/html", include_in_schema=False, sync_to_thread=False)
def _trading() -> Response[bytes]:
    return _page("index.html")


@get("/dashboard", media_type="text/html", include_in_schema=False, sync_to_thread=False)
def _dashboard() -> Response[bytes]:
    return _page("dashboard.html")


def _page(name: str) -> Response[bytes]:
    return _headed(Response((WEB / name).read_bytes(), media_type="text/html"))


def _files(path: str, directory: Path) -> Router:
    return create_static_files_router(
        path,
        [directory],
        before_request=_a_name_of_ours,
        after_request=_headed,
        include_in_schema=False,
        name=path.strip("/"),
    )


def _a_name_of_ours(request: Request[Any, Any, Any]) -> None:
    """The file system fails at what it does not take as a name at all. Raises NotFoundException."""
    if not _NAME.fullmatch(request.scope["path"]):
        raise NotFoundException


def _headed(response: Response[bytes]) -> Response[bytes]:
    response.headers.update(HEADERS)
    return response


def _client() -> Path:
    installed = WEB / "client"
    return installed if installed.is_dir() else CLIENT
