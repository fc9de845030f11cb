"""The examples of the client's README: they have no type errors, and they run in a browser.

The compiler checks them against the types of the built package. The browser loads them from a
running system, signed in, with the package under the name that the examples import.
"""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.async_api import Page, Route

from tests.harness.pages import CLIENT, build_pages, find_node, workspace
from tests.harness.stack import Stack

README = CLIENT / "README.md"
TSCONFIG = {
    "extends": "../../../../tsconfig.base.json",
    "compilerOptions": {
        "module": "ESNext",
        "moduleResolution": "Bundler",
        "lib": ["ES2022", "DOM"],
        "noUnusedLocals": False,
    },
}
EXPECTED = [
    {"session signed-in", "live", "SPY"},
    {"connecting", "live", "connected"},
    {"connecting", "live", "[IBM, SPY]", "closed"},
    {"422 qty 0"},
    {"live", "order:update", "0"},
    {"true"},
    {"connecting", "live", "connected"},
]
"""By example: lines that the console shows, or words that begin them."""
TIMEOUT_MS = 60_000


def read_examples(readme: Path) -> list[str]:
    """The code blocks of a README in TypeScript."""
    return re.findall(r"^```tsx?\n(.*?)^```$", readme.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="session")
def examples() -> list[str]:
    """The examples, as JavaScript."""
    build_pages()
    node = find_node()
    if not node:
        pytest.skip("no Node to compile the examples")
    folder = CLIENT / "build" / "readme"
    folder.mkdir(parents=True, exist_ok=True)
    found = read_examples(README)
    for number, code in enumerate(found):
        (folder / f"example-{number}.ts").write_text(code)
    (folder / "tsconfig.json").write_text(json.dumps(TSCONFIG))
    compiler = workspace.WORKSPACE / "node_modules" / "typescript" / "bin" / "tsc"
    done = subprocess.run([*node, compiler, "-p", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    return [(folder / f"example-{number}.js").read_text() for number in range(len(found))]


def _serve(text: str, content_type: str) -> Callable[[Route], object]:
    return lambda route: route.fulfill(body=text, content_type=content_type)


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("number", range(len(EXPECTED)))
async def test_examples_of_the_readme_run(
    stack: Stack, page: Page, examples: list[str], number: int
) -> None:
    assert len(examples) == len(EXPECTED)
    code = examples[number].replace('"@tapewire/client"', '"/client/index.js"')
    await page.route("**/example.js", _serve(code, "text/javascript"))
    await page.route("**/portal/tapewire-token", _serve("a-token", "text/plain"))
    missing = set(EXPECTED[number])
    lines: list[str] = []

    def read(text: str) -> None:
        lines.append(text)
        missing.difference_update([text, text.split(" ")[0]])

    page.on("console", lambda message: read(message.text))
    await page.goto(f"{stack.url}/client/tapewire.js")
    await page.evaluate(
        """async () => {
            const body = JSON.stringify({ userId: 'reader' });
            const headers = { 'Content-Type': 'application/json' };
            await fetch('/api/session', { method: 'POST', body, headers });
            await import('/example.js');
        }"""
    )

    for _ in range(TIMEOUT_MS // 50):
        if not missing:
            break
        await page.wait_for_timeout(50)
    assert missing == set(), lines
