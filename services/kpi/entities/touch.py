"""Attribution: the touch that an order without a channel belongs to (D29)."""

from typing import Final, NamedTuple

from services.kpi.entities.visitor import Days, sessions_of

LOOK_BACK_US: Final = 7 * 86_400 * 1_000_000
"""How long before an order a touch counts."""


class Attribution(NamedTuple):
    """Where an order comes from."""

    channel: str
    source: str | None
    campaign: str | None


DIRECT: Final = Attribution("direct", None, None)


def attribute(days: Days, placed_us: int) -> Attribution:
    """The visitor's last touch within 7 days before the order that is not direct, else direct.

    A touch is the first event of a session; `days` must reach back to whatever session runs into those 7 days.
    """
    for session in reversed(sessions_of(days)):
        if session.start_us > placed_us:
            continue
        if session.start_us < placed_us - LOOK_BACK_US:
            break
        channel, source, campaign, _ = session.profile
        if channel is not None and channel != DIRECT.channel:
            return Attribution(channel, source, campaign)
    return DIRECT
