"""What alerts does with events: judge them by the rules, open and move incidents, and have people told."""

from libs.events.consumer import Reactions
from services.alerts.handlers import judging, remembering

REACTIONS = Reactions(*judging.REACTIONS, *remembering.REACTIONS)
