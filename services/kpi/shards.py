"""The journal cut into shards that no figure's entity crosses, so that a rebuild holds one of them at a time.

What an event names (its order, visitor, customer, conversation) is bound together; whatever is bound together, over
however many events, lies in one shard; an event that names none of these lies with those of its key. SKUs, policies,
spend and the like lie in the base, which every shard may look at. Names are bound by their hash in a table of fixed
size: two names with one hash only make a shard larger. Shards lie in temporary files.
"""

import sys
import tempfile
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, Final
from zlib import crc32

import msgspec
import zstandard

from libs.events.bus import Record
from libs.events.codec import Envelope, from_record
from services.kpi.records import VisitEnvelope, read_record

TRAFFIC: Final = "traffic"
OF_ALL: Final = frozenset({"catalog", "marketing", "policy", "stores"})
"""Topics whose events every shard may look at."""
BASE: Final = -1
_BUFFER: Final = 500
"""Events kept in memory a shard before they go to its file."""

_NAMING: Final = ("order_id", "visitor_id", "customer_id", "conversation_id")


class _Names(msgspec.Struct, gc=False):
    order_id: str | None = None
    visitor_id: str | None = None
    customer_id: str | None = None
    conversation_id: str | None = None


_read_names: Final = msgspec.json.Decoder(_Names).decode


def names_of(record: Record) -> list[str]:
    """What an event names, each with its kind and store; its key, if that is nothing."""
    headers = dict(record.headers)
    try:
        if headers["content-type"] != b"application/json":
            raise ValueError("structured")
        store, found = headers["ce_store"].decode(), _read_names(record.value)
    except (KeyError, ValueError, msgspec.DecodeError):
        envelope = from_record(record)
        store, found = envelope.store, envelope.data
    named = [f"{name} {store} {value}" for name in _NAMING if (value := getattr(found, name, None)) is not None]
    return named or [f"key {record.topic} {record.key.decode('utf-8', 'replace')}"]


class Bonds:
    """Which names lie together: a union-find over the hashes of names."""

    def __init__(self, slots: int) -> None:
        self._up = array("q", range(slots))

    def bind(self, names: Sequence[str]) -> None:
        """What these name lies together from now on."""
        first = self.home(names[0])
        for name in names[1:]:
            other = self.home(name)
            if other != first:
                self._up[max(first, other)] = first = min(first, other)

    def home(self, name: str) -> int:
        """The same number for all that lies together."""
        up, at = self._up, crc32(name.encode()) % len(self._up)
        while up[at] != at:
            up[at] = at = up[up[at]]
        return at


class Shards:
    """Envelopes by shard: visits as they were read, other events as they came."""

    def __init__(self, count: int, bonds: Bonds) -> None:
        self.count = count
        self._bonds = bonds
        self._spools: defaultdict[int, Spool] = defaultdict(lambda: Spool(_BUFFER if count > 1 else None))

    def add(self, record: Record) -> None:
        """Put a record where it belongs."""
        if record.topic == TRAFFIC:
            envelope = read_record(record)
            name = f"visitor_id {envelope.store} {envelope.data.visitor_id}"
            plain = isinstance(envelope, VisitEnvelope) and envelope.data.experiment is None
            kept = envelope if plain else record
        elif record.topic in OF_ALL:
            self._spools[BASE].add(record)
            return
        else:
            name, kept = names_of(record)[0], record
        self._spools[self._bonds.home(name) % self.count].add(kept)

    def base(self) -> list[Envelope[Any]]:
        """The events that every shard may look at."""
        return list(self._spools[BASE].envelopes())

    def each(self) -> Iterator[list[Envelope[Any]]]:
        """The events of one shard after another, those of a visitor in the order of the log."""
        for number in range(self.count):
            if number in self._spools:
                yield list(self._spools[number].envelopes())

    def close(self) -> None:
        """Let go of the files."""
        for spool in self._spools.values():
            spool.close()


class Spool:
    """Events of one shard, all but `most` of them in a temporary file."""

    def __init__(self, most: int | None) -> None:
        self._most = most or sys.maxsize
        self._visits: list[VisitEnvelope] = []
        self._records: list[Record] = []
        self._file: IO[bytes] | None = None

    def add(self, one: VisitEnvelope | Record | Envelope[Any]) -> None:
        """Append an event."""
        if isinstance(one, VisitEnvelope):
            self._visits.append(one)
            if len(self._visits) >= self._most:
                self._write(b"v", self._visits)
        else:
            assert isinstance(one, Record)
            self._records.append(one)
            if len(self._records) >= self._most:
                self._write(b"r", self._records)

    def envelopes(self) -> Iterator[Envelope[Any]]:
        """Every event, read anew each time."""
        for kind, block in self._blocks():
            if kind == b"v":
                yield from _decode_visits(block)  # type: ignore[misc]  # it has what is used of an envelope
            else:
                yield from map(read_record, _decode_records(block))
        yield from self._visits  # type: ignore[misc]
        yield from map(read_record, self._records)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def _write(self, kind: bytes, buffer: list[Any]) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="opswire-rebuild-")  # noqa: SIM115 - closed with the shards
        self._file.seek(0, 2)
        packed = zstandard.ZstdCompressor(level=1).compress(_encode(buffer))
        self._file.write(kind + len(packed).to_bytes(4, "big") + packed)
        buffer.clear()

    def _blocks(self) -> Iterable[tuple[bytes, bytes]]:
        if self._file is None:
            return
        self._file.seek(0)
        while head := self._file.read(5):
            packed = self._file.read(int.from_bytes(head[1:], "big"))
            yield head[:1], zstandard.ZstdDecompressor().decompress(packed)


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_visits: Final = msgspec.msgpack.Decoder(list[VisitEnvelope]).decode
_decode_records: Final = msgspec.msgpack.Decoder(list[Record]).decode
