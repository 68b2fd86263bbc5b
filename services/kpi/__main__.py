"""`python -m services.kpi`."""

from libs.service.lifecycle import main
from services.kpi.app import build
from services.kpi.settings import KpiSettings

if __name__ == "__main__":
    main(KpiSettings, build)
