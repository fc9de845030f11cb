"""This checkout keeps the rules of the house (`rules`)."""

from pathlib import Path

from tests.architecture.rules import find_violations

ROOT = Path(__file__).parents[2]


def test_the_house_keeps_its_rules() -> None:
    found = find_violations(ROOT)
    assert not found, "\n" + "\n".join(str(one) for one in found)


def test_the_house_was_looked_at() -> None:
    """A test of rules that finds no files passes for ever."""
    assert (ROOT / "libs" / "tapewire" / "log" / "port.py").exists()
    assert (ROOT / "services" / "edge").is_dir()
