"""The HTTP front door of the desk: one router function a file."""

from libs.service.routes import Router
from services.alerts.desk.api.conversations import conversation_routes
from services.alerts.desk.api.events import event_routes
from services.alerts.desk.api.figures import figure_routes
from services.alerts.desk.api.follow_ups import follow_up_routes
from services.alerts.desk.api.rulers import ruler_routes


def desk_routers() -> list[Router]:
    """Every router of the desk."""
    return [event_routes(), conversation_routes(), figure_routes(), ruler_routes(), follow_up_routes()]
