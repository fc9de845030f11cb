"""Plug-ins that cannot be found or used end the start with an error that names them."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tapewire.runtime import BadSetting
from tapewire.runtime.plugins import create_plugin
from tests.harness.distributions import install_distribution

GROUP, SETTING = "tapewire.test-adapters", "TAPEWIRE_ADAPTER"

MODULE = """
from tapewire.runtime import BadSetting

class Adapter:
    def __init__(self, context): self.context = context
    def send(self): ...
    def close(self): ...

class Half:
    close = "not callable"
    def __init__(self, context): ...

def refusing(context): raise BadSetting("ACME_KEY is not set")
def broken(context): raise KeyError("ACME_KEY")
constant = 7
"""
BROKEN_MODULE = "import a_module_that_nobody_has\n"


class Port(Protocol):
    def send(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture(autouse=True)
def distributions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "acme_adapter.py").write_text(MODULE)
    (tmp_path / "acme_broken.py").write_text(BROKEN_MODULE)
    objects = {
        "acme": "acme_adapter:Adapter",
        "half": "acme_adapter:Half",
        "refusing": "acme_adapter:refusing",
        "broken": "acme_adapter:broken",
        "constant": "acme_adapter:constant",
        "import": "acme_broken:Adapter",
        "attribute": "acme_adapter:Nothing",
        "twice": "acme_adapter:Adapter",
    }
    install_distribution(tmp_path, "acme-trading", {GROUP: objects})
    install_distribution(tmp_path, "other-trading", {GROUP: {"twice": "acme_adapter:Half"}})
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("acme_adapter", None)


def test_a_plugin_is_found_by_its_name_and_given_the_context() -> None:
    adapter = create_plugin(GROUP, "acme", "the context", port=Port, setting=SETTING)
    assert adapter.context == "the context"


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("none", "the names are: acme, attribute, broken, constant, half, import, refusing, twice"),
        ("import", "distribution acme-trading cannot be imported: ModuleNotFoundError: No module"),
        ("attribute", "distribution acme-trading cannot be imported: AttributeError: "),
        ("constant", "distribution acme-trading is of type int, which is not callable"),
        ("broken", "distribution acme-trading cannot start: KeyError: 'ACME_KEY'"),
        ("half", "acme-trading is no Port: it returned a Half, which has no send and no close"),
        ("twice", "the distribution acme-trading and the distribution other-trading register it"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_an_error_that_names_its_distribution(
    name: str, fault: str
) -> None:
    with pytest.raises(BadSetting) as raised:
        create_plugin(GROUP, name, None, port=Port, setting=SETTING)
    assert str(raised.value).startswith(f"{SETTING}={name!r}: ")
    assert fault in str(raised.value)


def test_a_setting_that_the_plugin_refuses_is_its_own_error() -> None:
    with pytest.raises(BadSetting, match=r"^ACME_KEY is not set$"):
        create_plugin(GROUP, "refusing", None, port=Port, setting=SETTING)


def test_an_unknown_name_is_told_what_needs_no_plugin() -> None:
    with pytest.raises(BadSetting, match=r"the names are: acme, .*half, .*none, paper, "):
        create_plugin(GROUP, "nome", None, port=Port, setting=SETTING, built_in=["paper", "none"])


def test_no_plugin_installed_at_all_is_said() -> None:
    with pytest.raises(BadSetting, match=r"the names are: none$"):
        create_plugin("tapewire.nothing", "acme", None, port=Port, setting=SETTING)
