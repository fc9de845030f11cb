"""The Firefox that tests control does what they ask of it."""

from pathlib import Path

import pytest

from tests.harness.firefox import (  # fixtures
    Firefox,
    FirefoxError,
    FirefoxSession,
    firefox,  # noqa: F401
    firefox_path,  # noqa: F401
    firefox_session,  # noqa: F401
)

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

PAGE = "data:text/html,<input id=field><button onclick='document.title=field.value'>Go</button>"


async def test_a_tab_takes_keys_and_clicks_and_shows_the_result(
    firefox_session: FirefoxSession,  # noqa: F811
    tmp_path: Path,
) -> None:
    tab = await firefox_session.open_tab(PAGE, width=400, height=300)
    await tab.click("#field")
    await tab.type_text("+Ärger")
    await tab.press("Shift+ArrowLeft")
    await tab.press("Backspace")
    await tab.press("Tab")
    await tab.press("Enter")
    assert await tab.evaluate("document.title") == "+Ärge"
    await tab.click("#field")
    await tab.press("+")
    await tab.click("button")
    assert "+" in (await tab.evaluate("document.title"))[1:]
    await tab.screenshot(tmp_path / "tab.png")
    assert (tmp_path / "tab.png").read_bytes().startswith(b"\x89PNG")


async def test_a_script_awaits_promises_and_its_errors_are_raised(
    firefox_session: FirefoxSession,  # noqa: F811
) -> None:
    tab = await firefox_session.open_tab(PAGE)
    assert await tab.evaluate("async (a, b) => ({sum: a + b})", 1, 2) == {"sum": 3}
    assert await tab.evaluate("undefined") is None
    with pytest.raises(FirefoxError, match="no such thing"):
        await tab.evaluate("() => { throw new Error('no such thing') }")


async def test_uncaught_errors_of_a_tab_are_noted(firefox: Firefox) -> None:  # noqa: F811
    session = await firefox.new_session()
    tab = await session.open_tab(PAGE)
    await tab.evaluate("() => { setTimeout(() => { throw new Error('late') }); }")
    await tab.wait_for("new Promise((resolve) => setTimeout(() => resolve(true), 50))")
    assert any("late" in error for error in tab.errors)
    await session.close()
