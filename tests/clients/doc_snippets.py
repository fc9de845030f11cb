"""The code of docs/clients.md. Tests run the same text that readers copy.

`read_snippet` returns the code below a heading. `write_program` writes it into a folder beside a
driver of `drivers/`, which imports its `follow` and prints what it yields.
"""

import re
import shutil
from pathlib import Path

DRIVERS_FOLDER = Path(__file__).parent / "drivers"
CLIENTS_DOC_PATH = Path(__file__).parents[2] / "docs" / "clients.md"


def read_snippet(heading: str) -> str:
    """The single code block of the section `heading`."""
    sections = re.split(r"^## ", CLIENTS_DOC_PATH.read_text("utf-8"), flags=re.MULTILINE)
    found = [part for part in sections if part.startswith(f"{heading}\n")]
    assert len(found) == 1, f"{CLIENTS_DOC_PATH.name} has {len(found)} sections '## {heading}'"
    blocks = re.findall(r"^```\w+\n(.*?)^```$", found[0], flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1, (
        f"'## {heading}' in {CLIENTS_DOC_PATH.name} has {len(blocks)} pieces of code"
    )
    return str(blocks[0])


def write_program(heading: str, driver: str, folder: Path) -> Path:
    """Write the program to `folder`; return the path of its driver."""
    made = folder / driver
    shutil.copy(DRIVERS_FOLDER / driver, made)
    made.with_name(f"snippet{made.suffix}").write_text(read_snippet(heading), "utf-8")
    return made
