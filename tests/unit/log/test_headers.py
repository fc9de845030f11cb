"""Headers are read as nats-py reads them, only sooner."""

from hypothesis import example, given
from hypothesis import strategies as some
from nats.aio.client import Client

from tapewire.log.jetstream import headers
from tapewire.log.jetstream.headers import FastHeaderClient

LINES = some.lists(
    some.one_of(
        some.binary(max_size=20),
        some.sampled_from(
            [b"Nats-Sequence: 7", b"Tw-Type:order.placed.v1", b"A b: c", b": d", b" E : f:g "]
        ),
    ),
    max_size=6,
)


@given(LINES)
@example([b"Nats-Subject: ev.\xc3\xa9.x.y", b"\xc3\xa9: no", b"Bad\tname: no", b"\x1fn: v", b""])
def test_the_same_as_the_library_makes_of_them(lines: list[bytes]) -> None:
    raw = b"\r\n".join(lines)
    assert FastHeaderClient._parse_header_lines(raw) == Client._parse_header_lines(raw)


def test_it_still_overrides_something() -> None:
    """nats-py keeps the method to itself; when it is gone, the override is dead and slow."""
    assert callable(Client._parse_header_lines)


def test_names_that_strangers_make_up_do_not_fill_the_memory() -> None:
    for number in range(4 * headers.MAX_CACHED_NAMES):
        assert FastHeaderClient._parse_header_lines(b"X-%d: y" % number) == {f"X-{number}": "y"}
    assert len(headers._cached_names) <= headers.MAX_CACHED_NAMES
