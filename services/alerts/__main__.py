"""Run alerts: `python -m services.alerts`."""

from libs.service.lifecycle import main
from services.alerts.app import build
from services.alerts.settings import AlertsSettings

if __name__ == "__main__":
    main(AlertsSettings, build)
