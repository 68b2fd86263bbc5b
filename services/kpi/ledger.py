"""Sums that are equal when two sets of rows are: what a rebuild compares, in memory that does not grow with them.

A row of an entity adds a hash of its key and value. A figure adds value x word(measure) x word(bucket) x word(names of
its dimensions) x word(their values) in a prime field, so that parts of one figure (its shards, what single entities add
to it) may be added one by one in any order: two different sets of figures give the same sum with a chance of 4 in
2^127. The sums are kept in bins; bins that differ say where to look for the rows.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple, TypeVar
from zlib import crc32

from services.kpi.figures import BucketsOf, Cell, Cells, Contribution, expand
from services.kpi.states import decode_vector

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
        return _bucket_word((cell.store, cell.grain, cell.bucket)) % BINS in self.figures


Bucket = tuple[str, str, int]
"""Store, grain, start."""


class Ledger:
    """The sums of one set of rows."""

    def __init__(self) -> None:
        self._rows = [0] * BINS
        self._figures = [0] * BINS
        self._buckets = _Words(_bucket_word)
        self._values = _Words(_value_word)
        self._names = _Words(_word)
        self._views = _Words(self._view)

    def add_row(self, key: RowKey, value: bytes) -> None:
        """Add an entity's row."""
        name = _row_name(key)
        hashed = blake2b(name + value, digest_size=_ROW_BYTES).digest()
        self._rows[_row_bin(name)] += int.from_bytes(hashed, "big")

    def add_figures(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add figures, or parts of them: store, grain, by, bucket, values of the dimensions, measures."""
        buckets, values, names, figures = self._buckets, self._values, self._names, self._figures
        for store, grain, by, bucket, value, measures in rows:
            word = buckets[store, grain, bucket]
            figures[word % BINS] += weight(decode_vector(measures)) * (
                word * (names[by] * values[value] % _PRIME) % _PRIME
            )

    def add_cells(self, cells: Cells) -> None:
        """Add parts of figures of one bucket, all with the same measures."""
        groups: dict[tuple[Bucket, int], int] = {}
        for (store, grain, by, bucket, value), vector in cells.items():
            group = (store, grain, bucket), weight(vector)
            groups[group] = groups.get(group, 0) + self._names[by] * self._values[value]
        for (name, weighs), inner in groups.items():
            word = self._buckets[name]
            self._figures[word % BINS] += weighs * (word * (inner % _PRIME) % _PRIME)

    def add_places(self, places: Contribution, buckets: BucketsOf) -> None:
        """Add contributions to all the figures that they count in, without expanding them."""
        figures, words, views = self._figures, self._buckets, self._views
        for place, vector in places.items():
            weighs = weight(vector)
            if weighs:
                weighs = weighs * views[place.profile] % _PRIME
                for grain, start in buckets.over(place):
                    word = words[place.store, grain, start]
                    figures[word % BINS] += weighs * word

    def _view(self, profile: tuple[str | None, ...]) -> int:
        """The words of all the cells of a bucket that a profile counts in, added up."""
        return sum(self._names[by] * self._values[value] for by, value in expand(profile)) % _PRIME

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


K = TypeVar("K")


class _Words(dict[K, int]):
    """Words of names, remembered up to a number."""

    def __init__(self, make: Callable[[K], int]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, name: K) -> int:
        if len(self) >= _MOST_WORDS:
            self.clear()
        word = self[name] = self._make(name)
        return word


def _word(name: str | int) -> int:
    return int.from_bytes(blake2b(str(name).encode(), digest_size=_ROW_BYTES, person=b"name").digest(), "big") % _PRIME


def _value_word(value: str) -> int:
    return int.from_bytes(blake2b(value.encode(), digest_size=_ROW_BYTES, person=b"value").digest(), "big") % _PRIME


def _bucket_word(bucket: Bucket) -> int:
    return _word("\0".join(map(str, bucket)))


_MEASURES: Final = _Words[int](_word)


def weight(vector: Mapping[int, int]) -> int:
    """The measures of a figure as one number; what adds up to nothing weighs nothing."""
    total = 0
    for number, value in vector.items():
        total += value * _MEASURES[number]
    return total % _PRIME


def _row_name(key: RowKey) -> bytes:
    return ("\0".join(map(str, key)) + "\0\0").encode()


def _row_bin(name: bytes) -> int:
    return crc32(name) % BINS
