"""The Python of docs/producing.md runs as it stands, in one program, against a running Tapewire."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.harness.stack import Stack

PAGE = Path(__file__).parents[2] / "docs" / "producing.md"
ADDRESS = "nats://127.0.0.1:4222"
RUN_SECONDS = 120


def read_snippets() -> list[str]:
    text = PAGE.read_text("utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def make_program(url: str) -> str:
    """The first two snippets connect; the others use a connected client."""
    first, second, *others = read_snippets()
    with_client = "\n".join(others) + '\nprint(reply.order.symbol, NATS_ACCESS["name"])\n'
    return "\n".join(
        [
            "import asyncio\nimport tapewire\n",
            "async def main():",
            textwrap.indent(first.replace(ADDRESS, url), "    "),
            f"    async with tapewire.connect({url!r}, 'snippets') as client:",
            textwrap.indent(with_client, "        "),
            "asyncio.run(main())",
            second.replace(ADDRESS, url),
            'print("done")',
        ]
    )


def test_the_snippets_run_one_after_the_other(stack: Stack, tmp_path: Path) -> None:
    stack.wait_until_healthy()
    file = tmp_path / "snippets.py"
    file.write_text(make_program(stack.nats_url), "utf-8")
    done = subprocess.run(
        [sys.executable, str(file)],
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.stdout == "IBM loans\ndone\n", (done.stdout, done.stderr[-2000:])
