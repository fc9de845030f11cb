"""Distributions with entry points, in a folder that a process has on its PYTHONPATH."""

from collections.abc import Mapping
from pathlib import Path


def install_distribution(
    folder: Path, distribution: str, entry_points: Mapping[str, Mapping[str, str]]
) -> None:
    """Write the metadata of `distribution` beside its modules in `folder`, as pip does.
    `entry_points` has the objects by group and name."""
    about = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    about.mkdir(parents=True)
    about.joinpath("METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
    )
    lines = [
        line
        for group, objects in entry_points.items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in objects.items()))
    ]
    about.joinpath("entry_points.txt").write_text("\n".join(lines) + "\n")
