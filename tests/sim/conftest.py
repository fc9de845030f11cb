"""Options of the simulation: `pytest tests/sim --seed 47`."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tapewire")
    group.addoption("--seed", type=int, default=None, help="run only this seed of the simulation")
