"""What importing costs: `import tapewire` little, declaring event types no network library."""

import subprocess
import sys

import pytest

import tapewire


def loaded_modules(code: str) -> set[str]:
    """The modules there are after `code`, in a process of its own."""
    shown = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(shown.stdout.split())


def test_the_import_alone_loads_nothing_of_ours() -> None:
    found = loaded_modules("import tapewire")
    assert {name for name in found if name.startswith("tapewire.")} == set()
    assert not found & {"nats", "msgspec", "litestar", "structlog", "asyncio"}


def test_declaring_event_types_needs_no_network_library() -> None:
    found = loaded_modules("from tapewire import Delivery, Event, about, event, upcast")
    assert "tapewire.events" in found
    assert not found & {"nats", "litestar", "structlog", "opentelemetry", "tapewire.log"}


def test_a_producer_needs_nothing_of_the_edge() -> None:
    found = loaded_modules("import tapewire\ntapewire.connect\ntapewire.sync.connect")
    assert "nats" in found
    assert not {
        name for name in found if name.split(".")[0] in ("litestar", "uvicorn", "tapewire_services")
    }


def test_every_name_is_there() -> None:
    for name in tapewire.__all__:
        assert getattr(tapewire, name) is not None
    assert set(tapewire.__all__) <= set(dir(tapewire))


def test_a_name_that_there_is_not_is_said() -> None:
    with pytest.raises(AttributeError, match="no attribute 'conect'"):
        _ = tapewire.conect
