"""The HTTP front door of alerts: one router function a file."""

from libs.service.routes import Router
from services.alerts.api.channels import channel_routes
from services.alerts.api.incidents import incident_routes
from services.alerts.api.policies import policy_routes
from services.alerts.api.rules import rule_routes
from services.alerts.sender import Sender
from services.alerts.targets import AllowList


def routers(sender: Sender, allowed: AllowList) -> list[Router]:
    """Every router of the service."""
    return [incident_routes(), rule_routes(), policy_routes(), channel_routes(sender, allowed)]
