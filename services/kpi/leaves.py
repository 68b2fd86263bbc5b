"""Every kind of leaf, and which events reach which."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from libs.events.contracts.base import Event
from services.kpi.entities import brought, complaint, conversation
from services.kpi.entities.leaf import Leaf
from services.kpi.states import encode

LEAVES: Final = (conversation.LEAF, complaint.LEAF, brought.AD, brought.COST, brought.COUNT)
BY_KIND: Final[Mapping[str, Leaf]] = {leaf.kind: leaf for leaf in LEAVES}
EVENTS: Final[tuple[type[Event], ...]] = tuple(dict.fromkeys(event for leaf in LEAVES for event in leaf.events))

_BY_EVENT: Final[dict[type[Event], list[Leaf]]] = defaultdict(list)
for _leaf in LEAVES:
    for _event in _leaf.events:
        _BY_EVENT[_event].append(_leaf)
_DECODERS: Final = {leaf.kind: msgspec.msgpack.Decoder(leaf.state) for leaf in LEAVES}


def leaves_of(event: Event) -> Iterator[tuple[str, str]]:
    """(kind, id) of every leaf that an event is about."""
    for leaf in _BY_EVENT.get(type(event), ()):
        found = leaf.key(event)
        if found is not None:
            yield leaf.kind, found


def decode(kind: str, state: bytes) -> Any:
    """A leaf's state from its bytes."""
    return _DECODERS[kind].decode(state)


encode_leaf: Final = encode
