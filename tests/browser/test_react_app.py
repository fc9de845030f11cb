"""examples/react-app, another team's application: built from the packed packages, and driven.

The packages are what `npm pack` makes of them, judged (`pack:check`) and installed by `npm ci`.
TypeScript checks the application against their declarations, strictly. Its page comes from an
origin of its own and signs in with a token, so nothing of the terminal's page helps it.
"""

import contextlib
import functools
import re
import shutil
import threading
import uuid
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.harness.jwt_issuer import HS256_SECRET, JwtIssuer
from tests.harness.pages import ROOT, build_pages, run_npm
from tests.harness.stack import Stack, stacks

WORKSPACE = ROOT / "libs" / "client"
EXAMPLE = ROOT / "examples" / "react-app"
PACKAGES = ("@tapewire/client", "@tapewire/react")

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


class Application:
    """The built application on a running system."""

    def __init__(self, url: str, stack: Stack) -> None:
        self.url = url
        self.stack = stack

    async def sign_in(self, page: Page, user: str) -> None:
        """Open the page and sign `user` in with a token."""
        token = JwtIssuer().token(user, "HS256", seconds=3600)
        await page.goto(self.url)
        await page.get_by_label("Token").fill(token)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_text(f"Signed in as {user}")).to_be_visible()
        await expect(page.get_by_text("Live", exact=True)).to_be_visible()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with the packed packages installed."""
    build_pages()
    folder = tmp_path_factory.mktemp("react-app") / "app"
    ignored = shutil.ignore_patterns("node_modules", "dist", "*.tgz")
    shutil.copytree(EXAMPLE, folder, ignore=ignored)
    run_npm(WORKSPACE, "run", "pack:check")
    for tarball in (WORKSPACE / "build/packs").glob("*.tgz"):
        shutil.copy(tarball, folder)
    run_npm(folder, "ci", "--ignore-scripts")
    return folder


@pytest.fixture(scope="module")
def application(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """The application, built for a running system, and served on a port of its own."""
    with contextlib.ExitStack() as running:
        url = running.enter_context(_serve(folder / "dist"))
        settings = {"TAPEWIRE_JWT_SECRET": HS256_SECRET, "TAPEWIRE_ORIGINS": url}
        start = running.enter_context(stacks(lambda: tmp_path_factory.mktemp("stack")))
        stack = start(env=settings, sign_in=False)
        run_npm(folder, "run", "build", VITE_TAPEWIRE_URL=stack.url)
        yield Application(url, stack)


@contextlib.contextmanager
def _serve(folder: Path) -> Iterator[str]:
    """Serve a folder as static files; the value is the URL without a slash at the end."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Nothing is logged."""

    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def user() -> str:
    return f"user{uuid.uuid4().hex[:12]}"


def part(page: Page, name: str) -> Locator:
    """The part of the page with this heading."""
    return page.get_by_role("region", name=name, exact=True)


async def test_the_packages_are_installed_as_others_get_them(folder: Path) -> None:
    for name in PACKAGES:
        installed = folder / "node_modules" / name
        assert not installed.is_symlink()
        assert (installed / "dist/index.d.ts").is_file()
        assert (installed / "LICENSE").is_file()
        left = [path.name for path in installed.rglob("*") if path.name.startswith(".")]
        assert left == []
        assert not (installed / "tests").exists()


async def test_prices_of_the_watchlist_move(
    application: Application, page: Page, user: str
) -> None:
    await application.sign_in(page, user)
    price = part(page, "Watchlist").get_by_role("row", name="AAPL").get_by_role("cell").last
    await expect(price).to_have_text(re.compile(r"^[0-9.]+$"))
    first = await price.inner_text()
    await expect(price).not_to_have_text(first)
    await expect(price).not_to_contain_text("old")


async def test_a_placed_order_is_filled_and_announced(
    application: Application, page: Page, user: str
) -> None:
    await application.sign_in(page, user)
    await part(page, "Order").get_by_label("Quantity").fill("7")
    await part(page, "Order").get_by_role("button", name="Place order").click()

    row = part(page, "Orders").get_by_role("row").filter(has_text="AAPL")
    await expect(row).to_have_count(1)
    await expect(row).to_contain_text("Filled")
    await expect(row).to_contain_text("7 at ")
    await expect(page.locator(".toast").first).to_contain_text("AAPL")


async def test_an_order_that_rests_can_be_canceled(
    application: Application, page: Page, user: str
) -> None:
    await application.sign_in(page, user)
    await part(page, "Order").get_by_label("Limit price").fill("1")
    await part(page, "Order").get_by_role("button", name="Place order").click()

    row = part(page, "Orders").get_by_role("row").filter(has_text="AAPL")
    await row.get_by_role("button", name="Cancel").click()
    await expect(row).to_contain_text("Canceled")


async def test_a_refused_order_says_why(application: Application, page: Page, user: str) -> None:
    await application.sign_in(page, user)
    await part(page, "Order").get_by_label("Quantity").fill("-1")
    await part(page, "Order").get_by_role("button", name="Place order").click()
    await expect(part(page, "Order").get_by_role("alert")).to_contain_text("qty")
    quantity = part(page, "Order").get_by_label("Quantity")
    await expect(quantity).to_have_attribute("aria-invalid", "true")
    await expect(quantity).to_have_accessible_description(re.compile("qty"))


async def test_a_token_that_is_not_accepted_is_said(application: Application, page: Page) -> None:
    await page.goto(application.url)
    await page.get_by_label("Token").fill("not.a.token")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("The token was not accepted")).to_be_visible()


async def test_the_next_user_sees_nothing_of_the_one_before(
    application: Application, page: Page, user: str
) -> None:
    await application.sign_in(page, user)
    await part(page, "Order").get_by_role("button", name="Place order").click()
    await expect(part(page, "Orders").get_by_role("row")).to_have_count(2)
    await page.get_by_role("button", name="Sign out").click()
    await application.sign_in(page, f"{user}b")
    await expect(part(page, "Orders").get_by_text("No orders yet")).to_be_visible()
