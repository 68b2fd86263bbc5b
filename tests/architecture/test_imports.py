"""Who may import what: the contracts of `pyproject.toml`, read by import-linter; and one allow list."""

import subprocess
import sys
from pathlib import Path

from tests.architecture.sources import ROOT, sources

LINTER = Path(sys.executable).with_name("lint-imports")


def test_the_import_contracts_are_kept() -> None:
    done = subprocess.run([str(LINTER), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_event_contracts_import_nothing_but_pydantic() -> None:
    allowed = {"pydantic", "pydantic_core", "annotated_types", "typing_extensions", *sys.stdlib_module_names}
    contracts = [source for source in sources() if source.module.startswith("libs.events.contracts")]
    assert contracts
    imported = {
        f"{source.name}:{line} {module}"
        for source in contracts
        for module, line in source.imports()
        if module.split(".")[0] not in allowed and not module.startswith("libs.events.contracts")
    }
    assert imported == set()


def test_every_service_has_the_same_rooms() -> None:
    rooms = ("__main__", "app", "settings", "api", "handlers", "domain", "store", "tables", "migrations")
    other_names = {("kpi", "domain"): "entities"}
    missing = [
        f"services/{service}/{room}"
        for service in ("orders", "inventory", "alerts", "kpi", "reporting")
        for room in (other_names.get((service, name), name) for name in rooms)
        if not (ROOT / "services" / service / f"{room}.py").exists()
        and not (ROOT / "services" / service / room).is_dir()
    ]
    assert missing == []
