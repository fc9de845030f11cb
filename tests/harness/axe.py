"""axe-core in a page: finds violations of WCAG 2.2 AA and of good practice."""

from typing import Any

from playwright.async_api import Page

from tests.harness.pages import ROOT

_PROGRAM = ROOT / "libs/client/node_modules/axe-core/axe.min.js"
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


async def find_violations(page: Page) -> list[str]:
    """What axe finds in the page as it is now: the rule, the elements, and why; [] for nothing."""
    await page.evaluate(_PROGRAM.read_text(encoding="utf-8"))
    result: dict[str, Any] = await page.evaluate(
        "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", _RULES
    )
    return [
        f"{violation['id']}: {node['target']} {node.get('failureSummary', '')}"
        for violation in result["violations"]
        for node in violation["nodes"]
    ]
