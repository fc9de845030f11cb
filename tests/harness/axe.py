"""axe-core in a page: finds violations of WCAG 2.2 AA and of good practice."""

from collections.abc import Sequence
from typing import Any

from playwright.async_api import Page

from tests.harness.pages import ROOT

_PROGRAM = ROOT / "libs/client/node_modules/axe-core/axe.min.js"
_TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
_SCRIPT = """([type, values]) => axe.run(
    [...document.querySelectorAll('[role=dialog], [role=alertdialog]')]
        .findLast((dialog) => dialog.checkVisibility()) ?? document,
    {
        runOnly: {type, values},
        rules: type === 'tag' ? {'target-size': {enabled: true}} : {},
        resultTypes: ['violations'],
    })"""


async def find_violations(page: Page, *, rules: Sequence[str] = ()) -> list[str]:
    """What axe finds in the page as it is now: the rule, the elements, and why; [] for nothing.

    Of a page with an open dialog it is the dialog, because the rest cannot be used.

    `rules`: only these rules, such as "color-contrast"; all of them without it.
    """
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(_PROGRAM.read_text(encoding="utf-8"))
    wanted = ("rule", list(rules)) if rules else ("tag", list(_TAGS))
    result: dict[str, Any] = await page.evaluate(_SCRIPT, wanted)
    return [
        f"{violation['id']}: {node['target']} {node.get('failureSummary', '')}"
        for violation in result["violations"]
        for node in violation["nodes"]
    ]
