"""The HTTP front door of alerts: one router function a file."""

from libs.service.routes import Router
from services.alerts.api.alertmanager import alertmanager_routes
from services.alerts.api.channels import channel_routes
from services.alerts.api.incidents import incident_routes
from services.alerts.api.people import people_routes
from services.alerts.api.policies import policy_routes
from services.alerts.api.precision import precision_routes
from services.alerts.api.rules import rule_routes
from services.alerts.api.silences import silence_routes
from services.alerts.api.violations import violation_routes
from services.alerts.desk.api import desk_routers
from services.alerts.sender import Sender
from services.alerts.targets import AllowList


def routers(sender: Sender, allowed: AllowList) -> list[Router]:
    """Every router of the service."""
    return [
        incident_routes(),
        people_routes(),
        policy_routes(),
        rule_routes(),
        precision_routes(),
        silence_routes(),
        violation_routes(),
        channel_routes(sender, allowed),
        alertmanager_routes(),
        *desk_routers(),
    ]
