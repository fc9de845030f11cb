"""The files of an example in a page of the documentation, so that tests run what readers copy."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def write_page_files(page: str, folder: Path) -> None:
    """Write every code block of `page` whose first line is a comment with the name of a file."""
    text = DOCS.joinpath(page).read_text("utf-8")
    found = re.findall(r"^```\w+\n# ([\w.]+)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no code block that begins with the name of a file"
    folder.mkdir(exist_ok=True)
    for name, content in found:
        folder.joinpath(name).write_text(content, "utf-8")
