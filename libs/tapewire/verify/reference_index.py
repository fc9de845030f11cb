"""What may be said once, and what must have been said: sixteen bytes a claim, however many.

Remembering every id of a log would take a hundred bytes each. A claim is kept as a hash of 64 bits
and the sequence it was made at, in buckets that are sorted one at a time at the end; two different
texts with one hash are as likely as not only after five thousand million claims.
"""

from array import array
from collections.abc import Iterator
from hashlib import blake2b

BUCKET_COUNT = 64


class ReferenceIndex:
    """Claims, each of which may be made once, and references to claims."""

    def __init__(self) -> None:
        self._definitions = [(array("Q"), array("Q")) for _ in range(BUCKET_COUNT)]
        self._references = [(array("Q"), array("Q")) for _ in range(BUCKET_COUNT)]

    def define(self, key: str, sequence: int) -> None:
        """The event at `sequence` says `text`."""
        _add_entry(self._definitions, key, sequence)

    def reference(self, key: str, sequence: int) -> None:
        """The event at `sequence` takes it that some event says `text`."""
        _add_entry(self._references, key, sequence)

    def duplicate_definitions(self) -> Iterator[tuple[int, int]]:
        """Sequences of claims that repeat an earlier one, and of that one."""
        for digests, sequences in self._definitions:
            first: tuple[int, int] = (-1, 0)
            for claim in sorted(zip(digests, sequences, strict=True)):
                if claim[0] == first[0]:
                    yield claim[1], first[1]
                else:
                    first = claim

    def dangling_references(self) -> Iterator[int]:
        """Sequences of references to what nobody claimed."""
        for (claimed, _), (digests, sequences) in zip(
            self._definitions, self._references, strict=True
        ):
            known = set(claimed) if digests else set()
            yield from (s for d, s in zip(digests, sequences, strict=True) if d not in known)


def _add_entry(buckets: list[tuple["array[int]", "array[int]"]], key: str, sequence: int) -> None:
    digest = int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "little")
    digests, sequences = buckets[digest % BUCKET_COUNT]
    digests.append(digest)
    sequences.append(sequence)
