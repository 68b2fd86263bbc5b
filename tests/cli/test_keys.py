"""`opswire keys`, as a script uses it."""

from cli.local.postgres import run_psql
from libs.service.auth import key_hash
from tests.cli.conftest import Command, plain


def test_a_key_is_shown_once_and_kept_as_a_digest(command: Command, store: str, database: str) -> None:
    made = command("keys", "add", "--store", store, "--scopes", "orders:read, orders:write", "--json").good().json
    assert made["store"] == store
    assert made["scopes"] == ["orders:read", "orders:write"]
    assert made["key"].startswith(f"ow_{made['id']}_")
    kept = run_psql(plain(database), f"select encode(hash, 'hex') from access.keys where id = '{made['id']}'")
    assert kept == key_hash(made["key"]).hex()
    listed = command("keys", "list", "--json").good()
    assert made["id"] in [item["id"] for item in listed.json["items"]]
    assert made["key"] not in listed.out


def test_a_revoked_key_is_listed_as_such(command: Command, store: str) -> None:
    made = command("keys", "add", "--store", store, "--scopes", "kpi:read", "--json").good().json
    assert command("keys", "revoke", made["id"], "--json").good().json == {"id": made["id"], "revoked": True}
    states = {item["id"]: item["state"] for item in command("keys", "list", "--json").good().json["items"]}
    assert states[made["id"]] == "revoked"


def test_an_operator_key_belongs_to_every_store(command: Command) -> None:
    assert command("keys", "add", "--store", "*", "--scopes", "admin", "--json").good().json["store"] == "*"


def test_a_public_key_writes_traffic_only(command: Command, store: str) -> None:
    made = command("keys", "add", "--store", store, "--public", "--json").good().json
    assert made["scopes"] == ["traffic:write"]
    refused = command("keys", "add", "--store", store, "--public", "--scopes", "admin")
    assert refused.code == 1
    assert "fix:" in refused.err


def test_a_key_may_expire(command: Command, store: str) -> None:
    made = command("keys", "add", "--store", store, "--scopes", "kpi:read", "--expires", "90d", "--json").good().json
    assert made["expires_at"]
    refused = command("keys", "add", "--store", store, "--scopes", "kpi:read", "--expires", "soon")
    assert refused.code == 1
    assert "90d" in refused.err


def test_an_unknown_store_scope_or_key_is_an_error_with_its_fix(command: Command, store: str) -> None:
    wrong_store = command("keys", "add", "--store", "nowhere", "--scopes", "kpi:read", "--json")
    assert (wrong_store.code, wrong_store.out) == (1, "")
    assert "opswire stores add nowhere" in wrong_store.err
    wrong_scope = command("keys", "add", "--store", store, "--scopes", "everything")
    assert wrong_scope.code == 1
    assert "orders:read" in wrong_scope.err
    wrong_key = command("keys", "revoke", "000000000000")
    assert wrong_key.code == 1
    assert "keys list" in wrong_key.err


def test_a_key_for_people_is_printed_alone_on_its_line(command: Command, store: str) -> None:
    said = command("keys", "add", "--store", store, "--scopes", "kpi:read").good().out.splitlines()
    assert said[0].startswith("ow_")
