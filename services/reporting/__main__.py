"""Run reporting: `python -m services.reporting`."""

from libs.service.lifecycle import main
from services.reporting.app import build
from services.reporting.settings import ReportingSettings

if __name__ == "__main__":
    main(ReportingSettings, build)
