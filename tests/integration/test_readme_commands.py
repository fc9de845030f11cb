"""The commands of README.md that read streams and place an order, as they stand there."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.harness.stack import TAPEWIRE, Stack

README = Path(__file__).parents[2] / "README.md"
ADDRESS = "http://127.0.0.1:8000"
STREAM_SECONDS = 60
_EVENT_ID = re.compile(r"^id: (\S+)$", re.MULTILINE)


def commands(program: str) -> list[str]:
    """The commands of the README that call `program`, with the lines that continue them."""
    text = README.read_text("utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith(program)]


def read_stream(command: str, folder: Path, wanted: str) -> str:
    """Run a command that does not end until it has printed `wanted`; return its output."""
    output = folder / "output"
    with output.open("wb") as out:
        process = subprocess.Popen(
            ["/bin/bash", "-c", f"exec {command}"], stdout=out, stderr=out, cwd=folder
        )
    try:
        deadline = time.monotonic() + STREAM_SECONDS
        while wanted not in output.read_text():
            assert time.monotonic() < deadline, (command, output.read_text()[-500:])
            if process.poll() is not None:
                assert wanted in output.read_text(), (command, output.read_text()[-500:])
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    return output.read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on the PATH")
def test_the_curl_commands_sign_in_place_an_order_and_read_streams(
    stack: Stack, tmp_path: Path
) -> None:
    stack.wait_until_healthy()
    sign_in, orders, prices, place, resume = [
        one.replace(ADDRESS, stack.url) for one in commands("curl ")
    ]
    for command, wanted in ((sign_in, '"userId":"alice"'), (place, '"orderId"')):
        done = subprocess.run(
            ["/bin/bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, timeout=60,
            check=True,
        )  # fmt: skip
        assert wanted in done.stdout, done.stdout
    text = read_stream(orders, tmp_path, "id: ")
    assert '"userId":"alice"' in text
    assert "event: price:update" in read_stream(prices, tmp_path, '"symbol":"SPY"')
    last_id = _EVENT_ID.findall(text)[-1]
    resumed = read_stream(resume.replace("EPOCH-SEQUENCE", last_id), tmp_path, "event: connected")
    assert "stream:reset" not in resumed


def test_the_tail_commands_show_events(stack: Stack, tmp_path: Path) -> None:
    stack.wait_until_healthy()
    found = commands(".venv/bin/tapewire tail ")
    assert len(found) == 3
    for command, wanted in zip(found, ("order:update", "SPY", "replay:complete"), strict=True):
        words = command.partition(" # ")[0].removeprefix(".venv/bin/tapewire")
        read_stream(f"{' '.join(TAPEWIRE)}{words} --url {stack.url}", tmp_path, wanted)
