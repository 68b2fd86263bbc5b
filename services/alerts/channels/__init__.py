"""Targets: one file each with a pure `render` and a pure `classify`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from libs.service.errors import Validation, fault
from services.alerts.channels import alertmanager, dingtalk, feishu, mail, slack, teams, webhook, wecom
from services.alerts.channels.base import Limit, Notification, Outcome, Request
from services.alerts.store.ledger import Channel

Render = Callable[[Channel, Notification, datetime], Request]
Classify = Callable[[int, bytes, Mapping[str, str]], Outcome]


def any_secret(secret: str) -> None:
    """A target that may have a secret."""


def no_secret(secret: str) -> None:
    """Raises Validation: the address of such a target is its secret."""
    if secret:
        message = "this kind has none; the address is the secret"
        raise Validation(f"secret: {message}", errors=[fault("/secret", "secret", message)])


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of target: its own hosts (`*.` for any below), how a message is written, and what its answers mean.

    `limit`: how fast it may be told; over it, several messages go as one digest. None: one by one, without a limit.
    """

    name: str
    hosts: frozenset[str]
    render: Render
    classify: Classify
    check_secret: Callable[[str], None]
    limit: Limit | None = None
    schemes: tuple[str, ...] = ("https", "http")


_NOWHERE: frozenset[str] = frozenset()
_ALL = (
    Kind("dingtalk", dingtalk.HOSTS, dingtalk.render, dingtalk.CODES.classify, any_secret, dingtalk.LIMIT),
    Kind("feishu", feishu.HOSTS, feishu.render, feishu.CODES.classify, any_secret, feishu.LIMIT),
    Kind("wecom", wecom.HOSTS, wecom.render, wecom.CODES.classify, no_secret, wecom.LIMIT),
    Kind("slack", slack.HOSTS, slack.render, slack.classify, no_secret, slack.LIMIT),
    Kind("teams", teams.HOSTS, teams.render, teams.classify, no_secret, teams.LIMIT),
    Kind("webhook", _NOWHERE, webhook.render, webhook.classify, webhook.check_secret),
    Kind("alertmanager", _NOWHERE, alertmanager.render, alertmanager.classify, any_secret),
    Kind(
        "mail", _NOWHERE, mail.render, mail.classify, mail.check_secret, Limit(burst=5, a_minute=25), mail.SCHEMES,
    ),
)  # fmt: skip
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}
