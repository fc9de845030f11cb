"""The browser client, tested in Chromium. Node runs the same cases where it is installed."""

import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route

from tests.browser.conftest import new_context, page_opener
from tests.harness.pages import build_pages, find_node

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ORIGIN = "http://tapewire.test"
PARSER_CASES: list[dict[str, Any]] = json.loads((HERE / "parser_cases.json").read_text("utf-8"))
NODE_TIMEOUT_SECONDS = 180
SERVED_PATHS = {"/client/": "/libs/client/packages/client/dist/", "/static/": "/services/edge/web/"}
"""The paths under which an edge serves these folders."""

on_one_loop = pytest.mark.asyncio(loop_scope="session")


async def _serve_project_file(route: Route) -> None:
    """Serve the project's own files, and an empty page that imports them."""
    path = route.request.url.removeprefix(ORIGIN)
    if path == "/":
        await route.fulfill(body="<!doctype html>", content_type="text/html")
    else:
        for served, folder in SERVED_PATHS.items():
            path = path.replace(served, folder, 1) if path.startswith(served) else path
        await route.fulfill(path=ROOT / path.lstrip("/"), content_type="text/javascript")


async def _open_blank_page(page: Page) -> Page:
    await page.route(f"{ORIGIN}/**", _serve_project_file)
    await page.goto(f"{ORIGIN}/")
    return page


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def parser_page(browser: Browser) -> AsyncIterator[Page]:
    """A page for all cases of the parser, which change nothing in it. A new page takes a second of
    CPU time."""
    async with new_context(browser) as context, page_opener(context) as open_page:
        yield await _open_blank_page(await open_page())


@on_one_loop
@pytest.mark.parametrize("case", PARSER_CASES, ids=lambda case: case["name"])
async def test_parser_follows_the_event_stream_standard(
    parser_page: Page, case: dict[str, Any]
) -> None:
    wrong = await parser_page.evaluate(
        """async (parserCase) => {
            const { runParserCase } = await import('/tests/browser/parser_suite.js');
            try { runParserCase(parserCase); } catch (error) { return error.message; }
        }""",
        case,
    )

    assert wrong is None


@on_one_loop
@pytest.mark.parametrize(
    "file",
    [
        "connection_cases.js",
        "handover_cases.js",
        "polling_cases.js",
        "fallback_cases.js",
        "page_cases.js",
    ],
)
async def test_client_cases_pass_in_chromium(page: Page, file: str) -> None:
    await _open_blank_page(page)

    outcomes: dict[str, str] = await page.evaluate(
        """async (file) => {
            const { cases } = await import('/tests/browser/' + file);
            const outcomes = {};
            for (const [name, run] of Object.entries(cases)) {
                try { await run(); outcomes[name] = 'kept'; }
                catch (error) { outcomes[name] = String(error); }
            }
            return outcomes;
        }""",
        file,
    )

    assert len(outcomes) >= 10
    assert {name: outcome for name, outcome in outcomes.items() if outcome != "kept"} == {}


def test_client_cases_pass_in_node() -> None:
    node = find_node()
    if not node:
        pytest.skip("no node on the PATH; Chromium has run these cases")

    build_pages()

    run = subprocess.run(
        [*node, "--test", "tests/browser/client.test.js"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=NODE_TIMEOUT_SECONDS,
        check=False,
    )

    assert run.returncode == 0, run.stdout
