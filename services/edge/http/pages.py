"""The pages at `/` and `/dashboard`, their files under `/static`, and the client under `/client`.

Browsers revalidate every file (`no-cache`), which keeps a page from mixing modules of two versions
after a deployment.
"""

import re
from pathlib import Path
from typing import Any

from litestar import Request, Response, Router, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.static_files import create_static_files_router

WEB_DIRECTORY = Path(__file__).parent.parent / "web"
CLIENT_DIRECTORY = Path(__file__).resolve().parents[3] / "libs/client/packages/client/dist"
"""The browser client in a checkout; an installed package has it inside `WEB_DIRECTORY`."""
_VALID_PATH = re.compile(r"[A-Za-z0-9._/-]{1,200}")

PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
}
"""Headers in which pages differ from other responses (`security_middleware.SECURITY_HEADERS`)."""


def page_handlers() -> list[HTTPRouteHandler | Router]:
    """The handlers of all files that a browser loads."""
    return [
        _trading_page,
        _dashboard_page,
        _static_files_router("/static", WEB_DIRECTORY),
        _static_files_router("/client", _client_directory()),
    ]


@get("/", media_type="text/html", include_in_schema=False, sync_to_thread=False)
def _trading_page() -> Response[bytes]:
    return _html_response("index.html")


@get("/dashboard", media_type="text/html", include_in_schema=False, sync_to_thread=False)
def _dashboard_page() -> Response[bytes]:
    return _html_response("dashboard.html")


def _html_response(name: str) -> Response[bytes]:
    return _with_page_headers(Response((WEB_DIRECTORY / name).read_bytes(), media_type="text/html"))


def _static_files_router(path: str, directory: Path) -> Router:
    return create_static_files_router(
        path,
        [directory],
        before_request=_reject_invalid_path,
        after_request=_with_page_headers,
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
