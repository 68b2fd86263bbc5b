"""Chat targets: one file each with a pure `render` and a pure `classify`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.alerts.channels import webhook
from services.alerts.channels.base import Outcome, Request
from services.alerts.store.ledger import Channel

Render = Callable[[Channel, str, Mapping[str, Any], datetime], Request]
Classify = Callable[[int, bytes], Outcome]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of target: its own hosts, how a message is written for it, and what its answers mean."""

    name: str
    hosts: frozenset[str]
    render: Render
    classify: Classify
    check_secret: Callable[[str], None]


KINDS: Mapping[str, Kind] = {
    kind.name: kind for kind in (Kind("webhook", frozenset(), webhook.render, webhook.classify, webhook.check_secret),)
}
