"""An index of facts that may occur once, and of references to facts, in sixteen bytes each.

Storing every id of a log would take a hundred bytes each. The index stores a 64-bit hash and a
sequence per entry, in buckets that are sorted one at a time at the end. Two different keys probably
share a hash only after five thousand million entries.
"""

from array import array
from collections.abc import Iterator
from hashlib import blake2b

BUCKET_COUNT = 64


class ReferenceIndex:
    """Keys that may be defined once, and references to keys."""

    def __init__(self) -> None:
        self._definitions = [(array("Q"), array("Q")) for _ in range(BUCKET_COUNT)]
        self._references = [(array("Q"), array("Q")) for _ in range(BUCKET_COUNT)]

    def define(self, key: str, sequence: int) -> None:
        """The event at `sequence` defines `key`."""
        _add_entry(self._definitions, key, sequence)

    def reference(self, key: str, sequence: int) -> None:
        """The event at `sequence` refers to `key`."""
        _add_entry(self._references, key, sequence)

    def duplicate_definitions(self) -> Iterator[tuple[int, int]]:
        """The sequence of each repeated definition, and of the first one."""
        for digests, sequences in self._definitions:
            first: tuple[int, int] = (-1, 0)
            for entry in sorted(zip(digests, sequences, strict=True)):
                if entry[0] == first[0]:
                    yield entry[1], first[1]
                else:
                    first = entry

    def dangling_references(self) -> Iterator[int]:
        """The sequences of references to keys that no event defines."""
        for (defined, _), (digests, sequences) in zip(
            self._definitions, self._references, strict=True
        ):
            known = set(defined) if digests else set()
            yield from (s for d, s in zip(digests, sequences, strict=True) if d not in known)


def _add_entry(buckets: list[tuple["array[int]", "array[int]"]], key: str, sequence: int) -> None:
    digest = int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "little")
    digests, sequences = buckets[digest % BUCKET_COUNT]
    digests.append(digest)
    sequences.append(sequence)
