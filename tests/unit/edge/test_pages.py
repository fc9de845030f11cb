"""What the edge answers for pages: with built pages, and in a checkout where none are built yet."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from tapewire_services.edge.http import pages

PAGE_PATHS = pages.TERMINAL_PATHS
ROUTES = Path(__file__).parents[3] / "libs/client/terminal/src/app/routes.ts"


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the built pages: it has none yet, and neither is the client built."""
    folder = tmp_path / "dist"
    monkeypatch.setattr(pages, "TERMINAL_DIRECTORY", folder)
    monkeypatch.setattr(pages, "CLIENT_DIRECTORY", tmp_path / "client")
    return folder


@pytest.fixture
def http(built: Path) -> Iterator[TestClient[Litestar]]:
    assert not built.exists()
    with TestClient(Litestar(pages.page_handlers(), openapi_config=None)) as client:
        yield client


def build(folder: Path) -> None:
    """Make the files that `make pages` makes."""
    client = folder.with_name("client")
    for path in (folder / "index.html", folder / "assets/page-1a2b.js", client / "tapewire.js"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"built {path.name}")


@pytest.mark.parametrize("path", PAGE_PATHS)
def test_without_built_pages_a_page_says_how_to_build_them(
    http: TestClient[Litestar], path: str
) -> None:
    answer = http.get(path)
    assert answer.status_code == 503
    assert answer.headers["content-type"].startswith("text/html")
    assert "<pre>make pages</pre>" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", PAGE_PATHS)
def test_pages_that_are_built_while_the_edge_runs_are_served(
    http: TestClient[Litestar], built: Path, path: str
) -> None:
    build(built)
    answer = http.get(path)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("missing", ["dist/index.html", "client/tapewire.js"])
def test_pages_of_which_a_part_is_missing_are_not_served(
    http: TestClient[Litestar], built: Path, missing: str
) -> None:
    build(built)
    (built.parent / missing).unlink()
    assert http.get(pages.TERMINAL_PATHS[-1]).status_code == 503


def test_only_files_whose_names_change_with_their_contents_are_kept_by_browsers(
    http: TestClient[Litestar], built: Path
) -> None:
    build(built)
    assert "immutable" in http.get("/assets/page-1a2b.js").headers["cache-control"]
    assert http.get("/client/tapewire.js").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("name", "media_type"), [("worker.js", "text/javascript"), ("icon.svg", "image/svg+xml")]
)
def test_files_with_stable_names_are_revalidated(
    http: TestClient[Litestar], built: Path, name: str, media_type: str
) -> None:
    assert http.get(f"/{name}").status_code == 404
    build(built)
    (built / name).write_text("it")
    answer = http.get(f"/{name}")
    assert answer.text == "it"
    assert answer.headers["content-type"].startswith(media_type)
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/assets/../index.html", "/assets/%2e%2e/index.html"])
def test_nothing_beside_the_assets_is_served_as_one(
    http: TestClient[Litestar], built: Path, path: str
) -> None:
    build(built)
    assert http.get(path).status_code == 404


def test_every_path_of_the_terminal_is_served() -> None:
    """Otherwise a page would be 404 when it is reloaded."""
    if not ROUTES.exists():
        pytest.skip("the terminal has no routes yet")
    paths = set(re.findall(r'\bpath: "(/[^"]*)"', ROUTES.read_text()))
    assert paths == set(pages.TERMINAL_PATHS)
