"""Sums that are equal when two sets of rows are: what a rebuild compares, in memory that does not grow with them.

A row of an entity adds a hash of its key and value. A figure adds value x word(measure) x word(bucket) x word(value of
its dimensions) in a prime field, so that parts of one figure (its shards, what single entities add to it) may be added
one by one in any order: two different sets of figures give the same sum with a chance of 3 in 2^127. The sums are kept
in bins; bins that differ say where to look for the rows.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Final, NamedTuple
from zlib import crc32

from services.kpi.figures import BucketsOf, Cell, Cells, Contribution, Vector, expand

RowKey = tuple[str | int, ...]
"""Table and key of a row; figures without their shard."""

BINS: Final = 1 << 12
_PRIME: Final = (1 << 127) - 1
_MOST_WORDS: Final = 200_000
_ROW_BYTES: Final = 16


class Suspects(NamedTuple):
    """Bins whose sums differ: of entity rows, and of figures."""

    rows: frozenset[int]
    figures: frozenset[int]

    def has_row(self, key: RowKey) -> bool:
        return _row_bin(_row_name(key)) in self.rows

    def has_cell(self, cell: Cell) -> bool:
        return _bucket_word(cell[:4])[0] in self.figures


class Ledger:
    """The sums of one set of rows."""

    def __init__(self) -> None:
        self._rows = [0] * BINS
        self._figures = [0] * BINS
        self._buckets: dict[tuple[str, str, str, int], tuple[int, int]] = {}
        self._values: dict[str, int] = {}

    def add_row(self, key: RowKey, value: bytes) -> None:
        """Add an entity's row."""
        name = _row_name(key)
        hashed = blake2b(name + value, digest_size=_ROW_BYTES).digest()
        self._rows[_row_bin(name)] += int.from_bytes(hashed, "big")

    def add_figure(self, bucket: tuple[str, str, str, int], value: str, vector: Mapping[int, int]) -> None:
        """Add a figure, or a part of one: (store, grain, by, bucket), the values of its dimensions, its measures."""
        at, word = self._bucket(bucket)
        self._figures[at] += weight(vector) * (word * self._value(value) % _PRIME)

    def add_cells(self, cells: Cells) -> None:
        """Add parts of figures."""
        for cell, vector in cells.items():
            self.add_figure(cell[:4], cell.value, vector)

    def add_places(self, places: Contribution, buckets: BucketsOf) -> None:
        """Add contributions to all the figures that they count in, without expanding them."""
        views: dict[tuple[str | None, ...], list[tuple[str, int]]] = {}
        for place, vector in places.items():
            weighs = weight(vector)
            if not weighs:
                continue
            store, _, _, profile = place
            expanded = views.get(profile)
            if expanded is None:
                expanded = views[profile] = [(by, self._value(value)) for by, value in expand(profile)]
            for grain, start in buckets.over(place):
                for by, word in expanded:
                    at, of_bucket = self._bucket((store, grain, by, start))
                    self._figures[at] += weighs * (of_bucket * word % _PRIME)

    def _bucket(self, bucket: tuple[str, str, str, int]) -> tuple[int, int]:
        found = self._buckets.get(bucket)
        if found is None:
            if len(self._buckets) >= _MOST_WORDS:
                self._buckets.clear()
            found = self._buckets[bucket] = _bucket_word(bucket)
        return found

    def _value(self, value: str) -> int:
        found = self._values.get(value)
        if found is None:
            if len(self._values) >= _MOST_WORDS:
                self._values.clear()
            found = self._values[value] = _word(b"v", value)
        return found

    # what came out

    def digest(self) -> str:
        """What depends on the set of rows alone."""
        whole = blake2b(digest_size=_ROW_BYTES)
        for rows, figures in self._reduced():
            whole.update(rows.to_bytes(_ROW_BYTES, "big") + figures.to_bytes(_ROW_BYTES, "big"))
        return whole.hexdigest()

    def differs_from(self, other: "Ledger") -> Suspects:
        """The bins in which two sets of rows differ."""
        pairs = list(enumerate(zip(self._reduced(), other._reduced(), strict=True)))
        return Suspects(
            frozenset(at for at, (ours, theirs) in pairs if ours[0] != theirs[0]),
            frozenset(at for at, (ours, theirs) in pairs if ours[1] != theirs[1]),
        )

    def _reduced(self) -> Iterable[tuple[int, int]]:
        return [
            (rows % (1 << 8 * _ROW_BYTES), figures % _PRIME)
            for rows, figures in zip(self._rows, self._figures, strict=True)
        ]


_measures: dict[int, int] = {}


def weight(vector: Mapping[int, int] | Vector) -> int:
    """The measures of a figure as one number; what adds up to nothing weighs nothing."""
    total = 0
    for number, value in vector.items():
        word = _measures.get(number)
        if word is None:
            if len(_measures) >= _MOST_WORDS:
                _measures.clear()
            word = _measures[number] = _word(b"m", str(number))
        total += value * word
    return total % _PRIME


def _word(kind: bytes, name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=_ROW_BYTES, person=kind).digest(), "big") % _PRIME


def _bucket_word(bucket: tuple[str, str, str, int]) -> tuple[int, int]:
    word = _word(b"b", "\0".join(map(str, bucket)))
    return word % BINS, word


def _row_name(key: RowKey) -> bytes:
    return ("\0".join(map(str, key)) + "\0\0").encode()


def _row_bin(name: bytes) -> int:
    return crc32(name) % BINS
