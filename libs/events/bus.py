"""The bus as everything else sees it: publish and fetch, with Kafka or PostgreSQL behind it.

Two implementations (`kafka.py`, `postgres.py`) pass one conformance suite (`tests/bus`). What both promise:

- A message is readable by everybody once `publish` has returned; nothing acknowledged is lost (P2).
- Messages with one key are kept in the order in which they were published, and lie in one partition.
- A group's partitions are shared between its members. Two members may hold one partition for a moment while it changes
  hands, and a frozen member may wake up with records that another has handled since: the position row in the consumer's
  own database is the fence, the bus is not.

Topic names are bare here; a prefix is the bus's own business.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, Protocol

from libs.events.contracts.base import Topic

TopicPartition = tuple[str, int]
Positions = Mapping[TopicPartition, int]
"""Where to begin: (topic, partition) -> offset of the next record. A partition that is missing begins at its start."""

PositionsOf = Callable[[Sequence[TopicPartition]], Awaitable[Positions]]
"""Asked at every assignment and rewind: the consumer's database, not the bus, knows how far a group has got."""

Headers = tuple[tuple[str, bytes], ...]


class Message(NamedTuple):
    """What is published. `key` decides the partition and must not be empty.

    A named tuple like `Record`: they are made by the hundred thousand a second, in a third of the time of a dataclass.
    """

    topic: str
    key: bytes
    value: bytes
    headers: Headers


class Record(NamedTuple):
    """What is fetched: a message with its place in the log."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: Headers


class BusError(Exception):
    """Anything the bus reports."""


class BusUnavailable(BusError):
    """The bus cannot be reached or did not confirm in time. The call may be repeated; it may have had its effect."""


class BusRefused(BusError):
    """The bus will never accept this: too large, no such topic, no right to it. Repeating is of no use."""


class WrongPartitions(BusRefused):
    """A topic exists with another number of partitions than its contract says; keys would change their partition."""


class ForeignTopics(BusRefused):
    """The topics belong to another installation (D59)."""


class PositionLost(BusRefused):
    """The log begins beyond the position asked for, or ends before it: records are gone. Stop and alarm."""


MAX_MESSAGE_BYTES = 1_000_000
"""Key, value and headers together; a little under what a Kafka broker takes by default."""


def refuse_unfit(messages: Sequence[Message]) -> None:
    """Raise BusRefused for a message that no bus would take, before anything of its batch is on its way."""
    for topic, key, value, headers in messages:
        if not key:
            raise BusRefused(f"a message for {topic} has no key")
        size = len(key) + len(value) + sum(map(len, chain.from_iterable(headers)))
        if size > MAX_MESSAGE_BYTES:
            raise BusRefused(f"a message of {size} bytes for {topic} is larger than {MAX_MESSAGE_BYTES}")


class Subscription(Protocol):
    """One member of a group."""

    @property
    def assigned(self) -> frozenset[TopicPartition]:
        """The partitions that this member reads at present."""

    async def fetch(self, *, max_records: int, timeout: float) -> list[Record]:
        """The next records, ascending per partition; empty when `timeout` seconds passed without any.

        Raises BusUnavailable (call again after a pause; membership heals by itself), PositionLost (stop).
        """

    async def rewind(self) -> None:
        """Forget what was fetched: the next fetch begins again where the consumer's database says."""

    async def close(self) -> None:
        """Leave the group, so that the others take over at once."""


class Bus(Protocol):
    async def start(self) -> None:
        """Connect. Raises BusUnavailable, ForeignTopics."""

    async def close(self) -> None:
        """Let go of every connection; what was not yet acknowledged raises BusUnavailable at its publisher."""

    async def ensure_topics(self, topics: Sequence[Topic]) -> None:
        """Create what is missing. Raises WrongPartitions, ForeignTopics, BusUnavailable."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when every message is acknowledged; the order of each key is kept.

        After BusUnavailable any part of the messages may be on the bus, a later one of a key never without those before
        it; repeating the call can therefore repeat messages, never reorder them for good. Raises BusRefused.
        """

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """partition -> (first offset kept, next offset to be written)."""

    async def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Record]:
        """Up to `limit` records from `offset` on, without a group (dead letters, checks). Raises PositionLost."""

    def subscribe(self, group: str, topics: Sequence[str], positions: PositionsOf) -> Subscription:
        """A new member of `group`; it joins at its first fetch."""
