"""The parts of nats-py that `tapewire.log.jetstream.compat` replaces still exist unchanged."""

import asyncio
import importlib.metadata
import re
import tomllib
from pathlib import Path

import nats.micro.service
from hypothesis import example, given
from hypothesis import strategies as some
from nats.aio.client import Client
from nats.micro.service import Endpoint

from tapewire.log.jetstream import compat
from tapewire.log.jetstream.compat import CompatClient, encoded_size

PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"

LINES = some.lists(
    some.one_of(
        some.binary(max_size=20),
        some.sampled_from(
            [b"Nats-Sequence: 7", b"Tw-Type:order.placed.v1", b"A b: c", b": d", b" E : f:g "]
        ),
    ),
    max_size=6,
)


def test_nats_py_has_an_upper_bound_and_the_installed_version_is_below_it() -> None:
    dependencies = tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]
    [bound] = [one for one in dependencies if one.startswith("nats-py")]
    assert bound.endswith(f",<{compat.NATS_PY_BELOW}")
    installed = re.findall(r"\d+", importlib.metadata.version("nats-py"))
    assert tuple(map(int, installed[:2])) < tuple(map(int, compat.NATS_PY_BELOW.split(".")))


@given(LINES)
@example([b"Nats-Subject: ev.\xc3\xa9.x.y", b"\xc3\xa9: no", b"Bad\tname: no", b"\x1fn: v", b""])
def test_headers_are_parsed_as_nats_py_parses_them(lines: list[bytes]) -> None:
    raw = b"\r\n".join(lines)
    assert CompatClient._parse_header_lines(raw) == Client._parse_header_lines(raw)


def test_the_replaced_methods_still_exist_in_nats_py() -> None:
    """If nats-py renames a method, its replacement is never called."""
    assert callable(Client._parse_header_lines)
    assert asyncio.iscoroutinefunction(Client._process_pong)
    client = CompatClient()
    assert (client._pongs, client._pongs_received, client._pings_outstanding) == ([], 0, 0)


def test_the_private_attributes_of_nats_micro_still_exist() -> None:
    source = Path(nats.micro.service.__file__).read_text()
    assert "self._endpoints" in source
    assert "self._subscription" in source
    assert Endpoint.__module__ == "nats.micro.service"


def test_the_cache_of_header_names_is_bounded() -> None:
    for number in range(4 * compat.MAX_CACHED_NAMES):
        assert CompatClient._parse_header_lines(b"X-%d: y" % number) == {f"X-{number}": "y"}
    assert len(compat._cached_names) <= compat.MAX_CACHED_NAMES


def test_the_encoded_size_of_headers_matches_the_wire_format() -> None:
    assert encoded_size(None) == 0
    assert encoded_size({"A": "ü", "Bc": ""}) == len("NATS/1.0\r\nA: ü\r\nBc: \r\n\r\n".encode())
