"""What is wrong with where a page has its parts: too wide, cut off, too small to press."""

from playwright.async_api import Page

SIDEWAYS_SCRIPT = """() => {
    const wrong = [];
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth > width) {
        wrong.push(`the page is ${document.documentElement.scrollWidth} px wide`);
    }
    const scrolls = (element) => /auto|scroll/.test(getComputedStyle(element).overflowX);
    const isOfTable = (part) => part.closest('.table-scroller, table, textarea, input') !== null;
    for (const box of document.querySelectorAll('body, body *')) {
        if (isOfTable(box) || !scrolls(box) || box.scrollWidth <= box.clientWidth + 1) continue;
        const edge = box.getBoundingClientRect().left + box.clientLeft + box.clientWidth;
        for (const part of box.querySelectorAll('*')) {
            if (part.getBoundingClientRect().right > edge + 1 && !isOfTable(part)) {
                wrong.push(`${part.tagName}.${part.className} makes ${box.className} scroll`);
            }
        }
    }
    // What a table scrolls is reached there; everything else must be inside of the page.
    for (const element of document.querySelectorAll('button, a, input, select, label, h1, h2, p')) {
        const {left, right, width: own} = element.getBoundingClientRect();
        const isShown = own > 1 && element.checkVisibility({visibilityProperty: true});
        if (!isShown || element.closest('.table-scroller, table, .sr-only, .skip-link')) continue;
        if (left < -1 || right > width + 1) {
            wrong.push(`${element.tagName} "${element.innerText}" from ${left} to ${right}`);
        }
    }
    return wrong;
}"""
CLIPPED_SCRIPT = """() => [
        ...document.querySelectorAll('button, select, label, h2, h3, .chip, time')]
    .filter((element) => element.checkVisibility({visibilityProperty: true}))
    .filter((element) => !element.closest('.sr-only, .skip-link, .who, .search-symbol'))
    .filter((element) => {
        if (element.clientWidth > 1 && element.scrollWidth > element.clientWidth + 1) return true;
        // Inline text and controls of a cell that is too narrow for them.
        const cell = element.closest('.table-body .table-cell');
        if (cell === null) return false;
        const [inner, outer] = [element.getBoundingClientRect(), cell.getBoundingClientRect()];
        return inner.right > outer.right + 1 || inner.left < outer.left - 1
            || inner.bottom > outer.bottom + 3;
    })
    .map((element) => `${element.tagName} "${element.innerText}" in `
        + `${element.closest('.panel, dialog, header')?.id ?? 'the page'}`)"""
SMALL_SCRIPT = """() => [
        ...(document.querySelector('.dialog') ?? document).querySelectorAll(
            'button, select, input, summary, .segments label, [role=option], a[href]')]
    .filter((element) => element.checkVisibility({visibilityProperty: true, opacityProperty: true}))
    // A link within a sentence may be smaller, and a box whose label is as good a target.
    .filter((element) => !element.matches('p a, p .link-button, .item-cell *'))
    .filter((element) => !element.matches('label > input'))
    .filter((element) => !element.closest('.sr-only, .skip-link'))
    // A box of one pixel holds what screen readers alone reach.
    .filter(({parentElement}) => parentElement.offsetWidth > 1)
    .map((element) => ({element, box: element.getBoundingClientRect()}))
    .filter(({box}) => box.width > 1 && (box.width < 24 || box.height < 24))
    .map(({element, box}) => `${element.tagName}.${element.className} "${element.innerText}": `
        + `${box.width.toFixed(1)} x ${box.height.toFixed(1)}`)"""


async def find_sideways_scrolling(page: Page) -> list[str]:
    """What needs scrolling in two directions or is outside of the page, except in tables."""
    found: list[str] = await page.evaluate(SIDEWAYS_SCRIPT)
    return found


async def find_clipped_text(page: Page) -> list[str]:
    """Controls, headings, states and times whose text is cut off."""
    found: list[str] = await page.evaluate(CLIPPED_SCRIPT)
    return found


async def find_small_targets(page: Page) -> list[str]:
    """Controls that are smaller than 24 px in a direction, but for links in sentences."""
    found: list[str] = await page.evaluate(SMALL_SCRIPT)
    return found
