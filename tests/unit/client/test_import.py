"""`import tapewire` loads few modules, and declaring event types loads no network library."""

import subprocess
import sys

import pytest

import tapewire


def loaded_modules(code: str) -> set[str]:
    """Run `code` in a new process, and return the modules loaded afterwards."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(done.stdout.split())


def test_importing_tapewire_loads_no_submodule() -> None:
    found = loaded_modules("import tapewire")
    assert {name for name in found if name.startswith("tapewire.")} == set()
    assert not found & {"nats", "msgspec", "litestar", "structlog", "asyncio"}


def test_declaring_event_types_needs_no_network_library() -> None:
    found = loaded_modules("from tapewire import Delivery, Event, about, event, upcast")
    assert "tapewire.events" in found
    assert not found & {"nats", "litestar", "structlog", "opentelemetry", "tapewire.log"}


def test_reading_a_stream_loads_no_nats_client() -> None:
    found = loaded_modules("import tapewire\ntapewire.stream('http://127.0.0.1:8000/api/stream')")
    assert "httpx" in found
    assert not found & {"nats", "litestar", "structlog", "opentelemetry", "tapewire.log"}
    assert "tapewire_services" not in found


def test_the_client_loads_no_module_of_the_edge() -> None:
    found = loaded_modules("import tapewire\ntapewire.connect\ntapewire.sync.connect")
    assert "nats" in found
    assert not {
        name for name in found if name.split(".")[0] in ("litestar", "uvicorn", "tapewire_services")
    }


def test_every_exported_name_exists() -> None:
    for name in tapewire.__all__:
        assert getattr(tapewire, name) is not None
    assert set(tapewire.__all__) <= set(dir(tapewire))


def test_an_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'conect'"):
        _ = tapewire.conect
