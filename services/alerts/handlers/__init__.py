"""What alerts does with events: judge them by the rules, open and move incidents, and have people told."""

from libs.events.consumer import Reactions
from services.alerts.desk.handlers import REACTIONS as DESK
from services.alerts.handlers import (
    campaigns,
    competing,
    deadlines,
    following,
    judging,
    measuring,
    pulsing,
    rates,
    remembering,
    spending,
    wording,
)

REACTIONS = Reactions(
    *judging.REACTIONS,
    *remembering.REACTIONS,
    *competing.REACTIONS,
    *pulsing.REACTIONS,
    *measuring.REACTIONS,
    *following.REACTIONS,
    *rates.REACTIONS,
    *deadlines.REACTIONS,
    *campaigns.REACTIONS,
    *spending.REACTIONS,
    *wording.REACTIONS,
    *DESK,
)
"""What is remembered comes before what judges it."""
