"""The browser client, tested in Chromium. Node runs the same cases: `npm test` in libs/client."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route

from tests.browser.conftest import new_context, page_opener
from tests.harness.pages import (
    CLIENT,
    CLIENT_MODULES,
    CLIENT_TEST_MODULES,
    build_client_tests,
)

ORIGIN = "http://tapewire.test"
CONFORMANCE_CASES: list[tuple[str, dict[str, Any]]] = [
    (run, case)
    for run, file in [
        ("/tests/cases/parser.js runParserCase", "parser_cases.json"),
        ("/tests/cases/conformance.js runConnectionCase", "connection_cases.json"),
    ]
    for case in json.loads((CLIENT / "conformance" / file).read_text("utf-8"))
]
"""The module and the function that run each case."""
SERVED_FOLDERS = {
    "client": CLIENT_MODULES,
    "src": CLIENT_MODULES,
    "tests": CLIENT_TEST_MODULES,
}
"""An edge serves the first. The client's cases import the modules beside them, in `src`."""

CASE_MODULES = sorted(
    f"tests/cases/{path.stem}.js"
    for path in (CLIENT / "tests" / "cases").glob("*.ts")
    if path.stem not in {"conformance", "parser"}
)

on_one_loop = pytest.mark.asyncio(loop_scope="session")


async def _serve_project_file(route: Route) -> None:
    """Serve the project's own files, and an empty page that imports them."""
    folder, _, name = route.request.url.removeprefix(f"{ORIGIN}/").partition("/")
    if folder == "":
        await route.fulfill(body="<!doctype html>", content_type="text/html")
    else:
        await route.fulfill(path=SERVED_FOLDERS[folder] / name, content_type="text/javascript")


async def _open_blank_page(page: Page) -> Page:
    build_client_tests()
    await page.route(f"{ORIGIN}/**", _serve_project_file)
    await page.goto(f"{ORIGIN}/")
    return page


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared_page(browser: Browser) -> AsyncIterator[Page]:
    """A page for all cases of the conformance suite, which change nothing in it. A new page takes a
    second of CPU time."""
    async with new_context(browser) as context, page_opener(context) as open_page:
        yield await _open_blank_page(await open_page())


@on_one_loop
@pytest.mark.parametrize(
    ("run", "case"), CONFORMANCE_CASES, ids=[case["name"] for _, case in CONFORMANCE_CASES]
)
async def test_client_passes_the_conformance_suite(
    shared_page: Page, run: str, case: dict[str, Any]
) -> None:
    wrong = await shared_page.evaluate(
        """async ([path, name, given]) => {
            const module = await import(path);
            try { await module[name](given); } catch (error) { return error.message; }
        }""",
        [*run.split(), case],
    )

    assert wrong is None


@on_one_loop
@pytest.mark.parametrize("path", CASE_MODULES)
async def test_client_cases_pass_in_chromium(page: Page, path: str) -> None:
    await _open_blank_page(page)

    outcomes: dict[str, str] = await page.evaluate(
        """async (path) => {
            const { cases } = await import('/' + path);
            const outcomes = {};
            for (const [name, run] of Object.entries(cases)) {
                try { await run(); outcomes[name] = 'kept'; }
                catch (error) { outcomes[name] = String(error); }
            }
            return outcomes;
        }""",
        path,
    )

    assert outcomes
    assert {name: outcome for name, outcome in outcomes.items() if outcome != "kept"} == {}
