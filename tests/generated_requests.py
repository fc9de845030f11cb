"""Sends requests that schemathesis generates from the OpenAPI document to a running system.

    make schemathesis

Responses must be documented, in form and status, and no request may cause a 500. Streams, which do
not end, and the session, which the requests need, are left out: `tests/integration/edge` has their
tests. The check that every body which fits its schema is accepted is left out too: a schema cannot
say which symbols exist, or that a limit order needs a price.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.harness.stack import stacks

USER = "alice"
EXCLUDED_PATHS = r"^/(api/stream|sse|api/v2/stream|api/sse)|/stream$|^/api/session"
EXCLUDED_CHECKS = "positive_data_acceptance"


def main(installed: Path, arguments: list[str]) -> int:
    """Run schemathesis, which `installed` holds, with further `arguments`; return its exit code."""
    with (
        tempfile.TemporaryDirectory(prefix="tapewire-schemathesis-") as folder,
        stacks(lambda: Path(folder)) as start,
    ):
        stack = start()
        cookie = stack.sign_in(USER, ["admin"])["session"]
        command = [
            "run", f"{stack.url}/docs/openapi.json",
            "--header", f"Cookie: session={cookie}",
            "--exclude-path-regex", EXCLUDED_PATHS,
            "--exclude-checks", EXCLUDED_CHECKS,
            "--generation-deterministic",
            *arguments,
        ]  # fmt: skip
        return subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", *command],
            env={**os.environ, "PYTHONPATH": str(installed.resolve())},
            check=False,
        ).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
