"""Commands that look at an installation: migrate, stores, config, doctor; and where they find it."""

import json
import stat
from pathlib import Path

import pytest

from cli.installation import Installation
from tests.cli.conftest import Command
from tests.support.command import opswire, opswire_process


def test_a_plan_names_what_a_migration_would_do_and_does_nothing(empty_database: str) -> None:
    def plan() -> list[dict[str, str]]:
        items: list[dict[str, str]] = (
            opswire("migrate", "--plan", "--json", OPSWIRE_DATABASE_URL=empty_database).good().json["items"]
        )
        return items

    before = plan()
    assert "access" in [step["schema"] for step in before]
    assert plan() == before
    opswire("migrate", "--json", OPSWIRE_DATABASE_URL=empty_database).good()
    assert plan() == []


def test_stores_are_listed(command: Command, store: str) -> None:
    items = command("stores", "list", "--json").good().json["items"]
    assert {"store": store, "name": "Demo", "timezone": "Asia/Shanghai", "currency": "CNY", "language": "zh"} in items


def test_without_a_platform_a_command_says_how_to_start_one(tmp_path: Path) -> None:
    for arguments in (("keys", "list"), ("stores", "list"), ("migrate", "--plan"), ("dead", "list")):
        done = opswire(*arguments, cwd=tmp_path)
        assert (done.code, done.out) == (1, "")
        assert "opswire up" in done.err
        assert "Traceback" not in done.err


def test_a_command_finds_the_platform_by_its_data_folder(database: str, store: str, tmp_path: Path) -> None:
    Installation(database, {}, "ow_secret", store).write(tmp_path)
    assert stat.S_IMODE((tmp_path / "runtime.json").stat().st_mode) == 0o600
    assert opswire("stores", "list", "--json", "--data", str(tmp_path)).good().json["items"]


def test_a_platform_that_was_killed_is_not_taken_for_a_running_one(database: str, tmp_path: Path) -> None:
    Installation(database, {}, "ow_secret", "demo", pid=2**22 + 1).write(tmp_path)
    done = opswire("stores", "list", "--data", str(tmp_path))
    assert done.code == 1
    assert "killed" in done.err


def test_a_database_that_is_away_is_an_error_and_no_traceback() -> None:
    done = opswire("keys", "list", OPSWIRE_DATABASE_URL="postgresql://postgres@127.0.0.1:9/opswire")
    assert done.code == 1
    assert "opswire doctor" in done.err
    assert "Traceback" not in done.err


def test_config_tells_where_each_value_comes_from_and_masks_secrets(tmp_path: Path) -> None:
    file = tmp_path / "opswire.env"
    file.write_text("OPSWIRE_CURRENCY=EUR\nOPSWIRE_TIMEZONE=Europe/Berlin\n")
    shown = opswire(
        "--config", str(file), "config", "--service", "reporting", "--json",
        OPSWIRE_TIMEZONE="Asia/Tokyo", OPSWIRE_REPORTING_POOL_SIZE="3", OPSWIRE_DATABASE_URL="postgresql://u:hush@h/d",
    ).good()  # fmt: skip
    rows = {row["setting"]: row for row in shown.json["reporting"]}
    assert rows["currency"] == {"setting": "currency", "value": "EUR", "source": "file: OPSWIRE_CURRENCY"}
    assert rows["timezone"]["source"] == "environment: OPSWIRE_TIMEZONE"
    assert rows["pool_size"]["value"] == "3"
    assert rows["pool_size"]["source"] == "environment: OPSWIRE_REPORTING_POOL_SIZE"
    assert rows["log_level"]["source"] == "default"
    assert "hush" not in shown.out


def test_a_setting_that_is_not_valid_is_named() -> None:
    done = opswire("config", OPSWIRE_PORT="eighty")
    assert done.code == 1
    assert "OPSWIRE_PORT" in done.err


def test_every_failure_of_the_doctor_names_its_fix(database: str) -> None:
    done = opswire("doctor", "--json", OPSWIRE_DATABASE_URL=database)
    findings = {finding["check"]: finding for finding in done.json["findings"]}
    assert done.code == 1, "no service runs on this database"
    assert findings["database"]["state"] == "ok"
    assert findings["schemas"]["state"] == "ok"
    assert findings["orders"]["state"] == "failed"
    assert all(finding["fix"] for finding in findings.values() if finding["state"] != "ok")


def test_the_doctor_is_content_with_a_machine_on_which_nothing_runs(tmp_path: Path) -> None:
    done = opswire("doctor", "--json", "--ports-from", "61001", cwd=tmp_path)
    assert done.good().json["healthy"]


def test_the_doctor_finds_a_readable_key_and_a_missing_migration(empty_database: str, tmp_path: Path) -> None:
    Installation(empty_database, {}, "ow_secret", "demo").write(tmp_path)
    (tmp_path / "runtime.json").chmod(0o644)
    done = opswire("doctor", "--json", "--data", str(tmp_path))
    states = {finding["check"]: finding["state"] for finding in json.loads(done.out)["findings"]}
    assert done.code == 1
    assert (states["secrets"], states["schemas"]) == ("failed", "failed")


@pytest.mark.parametrize("arguments", [(), ("keys",), ("stores",), ("dead",)])
def test_help_is_everywhere(arguments: tuple[str, ...]) -> None:
    assert "Usage: opswire" in opswire(*arguments, "--help").good().out


def test_the_installed_program_works_and_its_exit_code_says_so(database: str, store: str) -> None:
    listed = opswire_process("stores", "list", "--json", OPSWIRE_DATABASE_URL=database)
    assert listed.good().json["items"][0]["store"] == store
    assert opswire_process("keys", "revoke", "000000000000", OPSWIRE_DATABASE_URL=database).code == 1
