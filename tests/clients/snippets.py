"""The code of docs/clients.md: the very text that readers copy is what the tests run.

`snippet` is the code below a heading; `lay_out` puts it into a folder beside a driver of
`drivers/`, which imports its `follow` and says what it shows.
"""

import re
import shutil
from pathlib import Path

DRIVERS = Path(__file__).parent / "drivers"
PAGE = Path(__file__).parents[2] / "docs" / "clients.md"


def snippet(heading: str) -> str:
    """The one piece of code in that section."""
    sections = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    found = [part for part in sections if part.startswith(f"{heading}\n")]
    assert len(found) == 1, f"{PAGE.name} has {len(found)} sections '## {heading}'"
    blocks = re.findall(r"^```\w+\n(.*?)^```$", found[0], flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1, f"'## {heading}' in {PAGE.name} has {len(blocks)} pieces of code"
    return str(blocks[0])


def lay_out(heading: str, driver: str, folder: Path) -> Path:
    """The program in `folder`; where its driver is."""
    made = folder / driver
    shutil.copy(DRIVERS / driver, made)
    made.with_name(f"snippet{made.suffix}").write_text(snippet(heading), "utf-8")
    return made
