"""The pages and their files: types, caching, compression, and what is not served (U4, U6, W10)."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.installed_edge import WEB, install_services, start_installed_edge
from tests.harness.pages import CLIENT_MODULES, build_pages

ACCEPTS_GZIP = {"Accept-Encoding": "gzip"}
SCRIPT = "export const rows = [];\n" * 2000
FILES = {
    "index.html": "<!doctype html><title>Terminal</title>" + "<p>a long page</p>" * 100,
    "worker.js": SCRIPT,
    "icon.svg": "<svg/>",
    ".fingerprint": "secret",
    "other.html": "<p>not a page of its own</p>",
    "assets/index-5QZj4rrb.js": SCRIPT,
    "assets/index-DxpBZMI-.css": ".row { color: red }\n" * 200,
    "assets/font-a1.woff2": "w" * 5000,
    "assets/tiny-b2.js": "export {};",
    "../client/tapewire.js": SCRIPT,
}
"""What a build leaves, and what must not be served of it."""
TERMINAL_PATHS = ["/", "/strategies", "/dashboard", "/operations", "/operations/"]
NEVER_SERVED = [
    "/.fingerprint", "/other.html", "/index.html", "/assets/index-other.js", "/assets/",
    "/assets", "/assets/..%2findex.html", "/assets/%2e%2e/worker.js", "/assets/%00.js",
    f"/assets/{'a' * 300}.js", "/nowhere", "/operations/deeper",
    "/static/dist/.fingerprint", "/static/../pages.py", "/client/nowhere.js", "/worker.js/more",
]  # fmt: skip


def _text(path: str) -> str:
    return FILES[path.removeprefix("/")]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The services, installed elsewhere, with a built terminal."""
    folder = tmp_path_factory.mktemp("installed")
    install_services(folder, FILES)
    return folder


@pytest.fixture(scope="module")
def terminal(harness: Harness, installation: Path) -> Iterator[EdgeProcess]:
    """An edge of the installation."""
    edge = start_installed_edge(harness, installation)
    yield edge
    edge.stop()


async def get(edge: EdgeProcess, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    """The response to a client that accepts no compression unless it says so."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    async with edge.client() as http:
        return await http.request(method, path, headers={"Accept-Encoding": "identity", **names})


class TestTerminal:
    @pytest.mark.parametrize("path", TERMINAL_PATHS)
    async def test_every_path_of_the_terminal_is_its_page(
        self, terminal: EdgeProcess, path: str
    ) -> None:
        response = await get(terminal, path)
        assert (response.status_code, response.text) == (200, _text("index.html"))
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert response.headers["cache-control"] == "no-cache"

    @pytest.mark.parametrize(
        ("path", "content_type"),
        [
            ("/assets/index-5QZj4rrb.js", "text/javascript; charset=utf-8"),
            ("/assets/index-DxpBZMI-.css", "text/css; charset=utf-8"),
            ("/assets/font-a1.woff2", "font/woff2"),
        ],
    )
    async def test_files_with_hashed_names_are_kept_for_a_year(
        self, terminal: EdgeProcess, path: str, content_type: str
    ) -> None:
        response = await get(terminal, path)
        assert (response.status_code, response.text) == (200, _text(path))
        assert response.headers["content-type"] == content_type
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"

    @pytest.mark.parametrize("path", ["/worker.js", "/worker.js?v=4f1c", "/icon.svg"])
    async def test_files_with_stable_names_are_revalidated(
        self, terminal: EdgeProcess, path: str
    ) -> None:
        response = await get(terminal, path)
        assert (response.status_code, response.text) == (200, _text(path.partition("?")[0]))
        assert response.headers["cache-control"] == "no-cache"

    @pytest.mark.parametrize("path", NEVER_SERVED)
    async def test_nothing_else_is_served(self, terminal: EdgeProcess, path: str) -> None:
        response = await get(terminal, path)
        assert response.status_code == 404, response.text
        assert response.json()["statusCode"] == 404
        assert response.headers["cache-control"] == "no-store"

    async def test_a_new_build_is_served_at_once(
        self, terminal: EdgeProcess, installation: Path
    ) -> None:
        file = installation / WEB / "dist" / "later.js"
        for content in (SCRIPT, SCRIPT.replace("rows", "cells"), "export {};"):
            file.write_text(content)
            response = await get(terminal, "/later.js", Accept_Encoding="gzip")
            assert response.text == content
        file.unlink()
        assert (await get(terminal, "/later.js")).status_code == 404


class TestPolicy:
    @pytest.mark.parametrize("path", ["/", "/worker.js", "/assets/index-5QZj4rrb.js"])
    async def test_scripts_and_workers_are_the_own_ones_and_nothing_is_inline(
        self, terminal: EdgeProcess, path: str
    ) -> None:
        """A shared worker has the policy of its own response."""
        policy = (await get(terminal, path)).headers["content-security-policy"]
        directives = dict(one.split(" ", 1) for one in policy.split("; "))
        assert directives["script-src"] == directives["worker-src"] == "'self'"
        assert directives["connect-src"] == "'self'"
        assert directives["trusted-types"] == "tapewire"
        assert directives["require-trusted-types-for"] == "'script'"
        assert "unsafe" not in policy


class TestTransfer:
    @pytest.mark.parametrize(
        "path", ["/", "/worker.js", "/assets/index-5QZj4rrb.js", "/assets/index-DxpBZMI-.css"]
    )
    async def test_text_is_compressed_for_who_accepts_it(
        self, terminal: EdgeProcess, path: str
    ) -> None:
        text = _text("index.html" if path == "/" else path)
        async with terminal.client() as http:
            request = http.build_request("GET", path, headers={"Accept-Encoding": "gzip, br"})
            response = await http.send(request, stream=True)
            body = b"".join([chunk async for chunk in response.aiter_raw()])
        assert response.headers["content-encoding"] == "gzip"
        assert response.headers["vary"] == "Accept-Encoding"
        assert int(response.headers["content-length"]) == len(body) < len(text) / 2
        assert gzip.decompress(body).decode() == text

    @pytest.mark.parametrize(
        ("path", "accepted"),
        [
            ("/worker.js", "gzip;q=0"),
            ("/worker.js", "br"),
            ("/assets/tiny-b2.js", "gzip"),
            ("/assets/font-a1.woff2", "gzip"),
        ],
    )
    async def test_small_or_binary_files_and_other_clients_get_them_as_they_are(
        self, terminal: EdgeProcess, path: str, accepted: str
    ) -> None:
        response = await get(terminal, path, Accept_Encoding=accepted)
        assert "content-encoding" not in response.headers
        assert response.text == _text(path)
        assert int(response.headers["content-length"]) == len(_text(path))

    @pytest.mark.parametrize("coding", ["gzip", "identity"])
    async def test_what_a_browser_has_is_not_sent_again(
        self, terminal: EdgeProcess, coding: str
    ) -> None:
        first = await get(terminal, "/worker.js", Accept_Encoding=coding)
        etag = first.headers["etag"]
        for condition in (etag, f'"other", {etag}', f"W/{etag}", "*"):
            again = await get(
                terminal, "/worker.js", Accept_Encoding=coding, If_None_Match=condition
            )
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == etag
            assert again.headers["cache-control"] == "no-cache"
        for condition in ('"other"', etag.strip('"')):
            again = await get(
                terminal, "/worker.js", Accept_Encoding=coding, If_None_Match=condition
            )
            assert again.status_code == 200

    async def test_each_encoding_has_an_etag_of_its_own(self, terminal: EdgeProcess) -> None:
        """Otherwise a cache would take one for the other."""
        etags = {
            (await get(terminal, "/worker.js", Accept_Encoding=coding)).headers["etag"]
            for coding in ("gzip", "identity")
        }
        assert len(etags) == 2

    @pytest.mark.parametrize("path", ["/", "/worker.js", "/assets/index-5QZj4rrb.js"])
    async def test_head_is_get_without_its_body(self, terminal: EdgeProcess, path: str) -> None:
        got, head = await get(terminal, path), await get(terminal, path, "HEAD")
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-length", "content-type", "etag", "cache-control"):
            assert head.headers[name] == got.headers[name]

    async def test_pages_cannot_be_changed(self, terminal: EdgeProcess) -> None:
        for path in ("/", "/worker.js", "/assets/index-5QZj4rrb.js"):
            response = await get(terminal, path, "DELETE")
            assert response.status_code == 405


class TestCheckout:
    async def test_the_client_is_compressed_too(self, edge: EdgeProcess) -> None:
        build_pages()
        async with edge.client() as http:
            for file in CLIENT_MODULES.glob("*.js"):
                response = await http.get(f"/client/{file.name}", headers=ACCEPTS_GZIP)
                is_large = file.stat().st_size > 1024
                assert response.headers.get("content-encoding") == ("gzip" if is_large else None)
                assert response.content == file.read_bytes()
