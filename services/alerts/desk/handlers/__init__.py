"""What the desk does with events and with time: measure, warn, alert, follow up."""

from services.alerts.desk.handlers.conversations import REACTIONS as CONVERSATIONS
from services.alerts.desk.handlers.follow_ups import REACTIONS as FOLLOW_UPS
from services.alerts.desk.handlers.rulers import REACTIONS as RULERS

REACTIONS = (*CONVERSATIONS, *FOLLOW_UPS, *RULERS)
