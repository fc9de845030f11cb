"""What the policy of pages lets a browser do: scripts and shared workers of the own origin through
one Trusted Types policy, and nothing else (U6, W10). The edge is real.
"""

from collections.abc import Iterator

import pytest
from playwright.async_api import BrowserContext, Page

from tests.harness.edge import Harness
from tests.harness.installed_edge import install_services, start_installed_edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGE = """<!doctype html><title>no script ran</title>
<script>document.title = "an inline script ran"</script>
<script type="module" src="/assets/page-1a2b.js"></script>
<p id="styled" style="color: red" onclick="document.title = 'a handler ran'">text</p>"""
SCRIPT = """
const policy = trustedTypes.createPolicy("tapewire", { createScriptURL: (url) => url });
const worker = new SharedWorker(policy.createScriptURL("/worker.js?v=1"), { type: "module" });
worker.port.onmessage = ({ data }) => { document.title = data; };
worker.port.postMessage("ask");
"""
WORKER = """
let asked = 0;
onconnect = ({ ports: [port] }) => {
  port.onmessage = async () => {
    const answer = await fetch("/api/stream/metrics");
    port.postMessage(`worker ${answer.status}, tab ${++asked}`);
  };
};
"""
FILES = {
    "index.html": PAGE,
    "assets/page-1a2b.js": SCRIPT,
    "worker.js": WORKER,
    "../client/tapewire.js": "export {};",
}
REFUSED_ATTEMPTS = [
    "() => { trustedTypes.createPolicy('other', {}); }",
    "() => { trustedTypes.createPolicy('tapewire', {}); }",
    "() => { new SharedWorker('/worker.js'); }",
    "() => { document.body.innerHTML = '<b>text</b>'; }",
    "() => { document.createElement('script').src = '/worker.js'; }",
    "() => { setTimeout('document.title = 1'); }",
    "() => fetch('https://example.com/')",
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an edge with these pages."""
    harness = Harness(tmp_path_factory.mktemp("policy"))
    try:
        folder = tmp_path_factory.mktemp("installed")
        install_services(folder, FILES)
        yield start_installed_edge(harness, folder).url
    finally:
        harness.close()


async def wait_for_title(page: Page, title: str) -> None:
    await page.wait_for_function("(title) => document.title === title", arg=title)


async def test_tabs_share_a_worker_that_reaches_the_edge(url: str, context: BrowserContext) -> None:
    """The worker has the policy of its own response."""
    for number in (1, 2):
        page = await context.new_page()
        await page.goto(f"{url}/operations")
        await wait_for_title(page, f"worker 200, tab {number}")


async def test_what_the_pages_do_not_need_is_refused(url: str, context: BrowserContext) -> None:
    """A second policy of the name, too: a script that somebody brought in would make one."""
    page = await context.new_page()
    await page.goto(f"{url}/")
    await page.wait_for_function("() => document.title.startsWith('worker 200')")
    for attempt in REFUSED_ATTEMPTS:
        outcome = await page.evaluate(
            f"async () => {{ try {{ await ({attempt})(); return 'done' }}"
            " catch (error) { return error.constructor.name } }"
        )
        assert outcome in ("TypeError", "EvalError"), attempt


async def test_nothing_inline_is_run_or_applied(url: str, context: BrowserContext) -> None:
    page = await context.new_page()
    await page.goto(f"{url}/")
    await page.wait_for_function("() => document.title.startsWith('worker 200')")
    await page.locator("#styled").click()
    color = await page.locator("#styled").evaluate("(p) => getComputedStyle(p).color")
    assert color != "rgb(255, 0, 0)"
    assert (await page.title()).startswith("worker 200")
