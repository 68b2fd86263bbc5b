"""Nobody reads or writes without the right key, nor another store's data (P7)."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from libs.service import auth
from libs.service.auth import SCOPES, Keyring, Principal, add_key, key_hash, new_key, revoke_key
from libs.service.errors import Unauthenticated
from tests.service.conftest import Example


def test_a_key_has_256_random_bits_and_its_parts() -> None:
    made = new_key("demo", ["orders:read"])
    prefix, key_id, secret = made.key.split("_")
    assert (prefix, key_id) == ("ow", made.id)
    assert len(bytes.fromhex(secret)) == 32


@pytest.mark.parametrize("scopes", [[], ["orders:everything"], ["orders:read", "*"]])
def test_a_key_needs_scopes_that_exist(scopes: list[str]) -> None:
    with pytest.raises(ValueError, match="scopes"):
        new_key("demo", scopes)


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Bearer ow_", "Bearer ow_x_y", "Basic b3c6eHg=", "Bearer nonsense", "Bearer 密钥",
     "Bearer ow_000000000000_" + "0" * 64, "ow_000000000000_" + "0" * 64],
)  # fmt: skip
async def test_without_a_good_key_the_answer_is_401(example: Example, header: str | None) -> None:
    async with example.client(None) as client:
        headers = [] if header is None else [(b"authorization", header.encode())]
        answer = await client.get("/v1/whoami", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_wrong_secret_of_a_real_key_is_401(example: Example) -> None:
    key = example.keys["demo"].key
    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")
    async with example.client(None, Authorization=f"Bearer {wrong}") as client:
        assert (await client.get("/v1/whoami")).status_code == 401


async def test_a_key_without_the_scope_is_403_and_nothing_is_done(example: Example) -> None:
    async with example.client("reader") as client:
        answer = await client.post("/v1/notes", json={"note_id": "forbidden", "text": "x"})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert (await client.get("/v1/notes/forbidden")).status_code == 404


async def test_the_key_is_checked_before_the_body_is_read(example: Example) -> None:
    async with example.client(None) as client:
        answer = await client.post("/v1/notes", content=b"{broken", headers={"Content-Type": "application/json"})
    assert answer.status_code == 401


async def test_an_expired_key_is_401(example: Example) -> None:
    await example.add_key("expired", "demo", "orders:read", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    async with example.client("expired") as client:
        assert (await client.get("/v1/whoami")).status_code == 401


async def test_a_revoked_key_is_401(example: Example) -> None:
    made = await example.add_key("revoked", "demo", "orders:read")
    async with example.runtime.engine.begin() as session:
        assert await revoke_key(session, made.id, datetime.now(UTC))
        assert not await revoke_key(session, "nosuchkey", datetime.now(UTC))
    async with example.client("revoked") as client:
        assert (await client.get("/v1/whoami")).status_code == 401


async def test_a_revocation_is_known_within_seconds(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "CACHE_SECONDS", 0.0)
    made = await example.add_key("short", "demo", "orders:read")
    async with example.client("short") as client:
        assert (await client.get("/v1/whoami")).status_code == 200
        async with example.runtime.engine.begin() as session:
            await revoke_key(session, made.id, datetime.now(UTC))
        assert (await client.get("/v1/whoami")).status_code == 401


async def test_another_stores_note_is_not_to_be_told_from_none(example: Example) -> None:
    async with example.client("demo") as client:
        await client.post("/v1/notes", json={"note_id": "secret", "text": "of demo"})
    async with example.client("other") as client:
        theirs = await client.get("/v1/notes/secret")
        none = await client.get("/v1/notes/nosuch")
        changed = await client.put("/v1/notes/secret", json={"text": "mine"}, headers={"If-Match": "*"})
        listed = await client.get("/v1/notes")
    different = {"request_id", "instance"}
    assert theirs.status_code == none.status_code == changed.status_code == 404
    assert _without(theirs.json(), different) == _without(none.json(), different)
    assert listed.json()["items"] == []


def _without(body: dict[str, object], names: set[str]) -> dict[str, object]:
    return {name: value for name, value in body.items() if name not in names}


async def test_the_same_id_may_live_in_two_stores(example: Example) -> None:
    for store in ("demo", "other"):
        async with example.client(store) as client:
            assert (await client.post("/v1/notes", json={"note_id": "twin", "text": store})).status_code == 201
            assert (await client.get("/v1/notes/twin")).json()["text"] == store


async def test_a_store_key_may_name_its_store_and_no_other(example: Example) -> None:
    async with example.client("demo") as client:
        assert (await client.get("/v1/whoami?store=demo")).json()["store"] == "demo"
        assert (await client.get("/v1/whoami?store=other")).status_code == 403
        assert (await client.get("/v1/whoami?store=*")).status_code == 403
        assert (await client.get("/v1/whoami?store=")).status_code == 403
        in_body = await client.post("/v1/notes", json={"store": "other", "text": "x"})
        own = await client.post("/v1/notes", json={"store": "demo", "text": "x"})
    assert (in_body.status_code, own.status_code) == (403, 201)


async def test_an_operator_names_the_store_in_the_query_or_the_body(example: Example) -> None:
    async with example.client("operator") as client:
        unnamed = await client.get("/v1/whoami")
        unknown = await client.get("/v1/whoami?store=nosuch")
        every = await client.get("/v1/whoami?store=*")
        named = await client.get("/v1/whoami?store=other")
        written = await client.post("/v1/notes", json={"store": "other", "note_id": "op", "text": "x"})
        contradicting = await client.post("/v1/notes?store=demo", json={"store": "other", "text": "x"})
        wrong_type = await client.post("/v1/notes", json={"store": 7, "text": "x"})
        shown = await client.get("/v1/notes/op?store=other")
        elsewhere = await client.get("/v1/notes/op?store=demo")
    assert (unnamed.status_code, unnamed.json()["errors"][0]["pointer"]) == (422, "/store")
    assert (unknown.status_code, every.status_code, named.json()["store"]) == (404, 422, "other")
    assert (written.status_code, contradicting.status_code, wrong_type.status_code) == (201, 422, 422)
    assert (shown.status_code, elsewhere.status_code) == (200, 404)


async def test_a_public_key_writes_to_the_beacon_alone(example: Example) -> None:
    async with example.runtime.engine.begin() as session:
        made = await add_key(session, "demo", ["orders:read"], is_public=True)
    assert made.scopes == ("traffic:write",)
    async with example.client(None) as client:
        beacon = await client.post(f"/v1/collect?key={made.key}", content=b"[]")
        with_header = await client.post("/v1/collect", headers={"Authorization": f"Bearer {made.key}"})
        elsewhere = await client.get("/v1/whoami", headers={"Authorization": f"Bearer {made.key}"})
        in_query = await client.get(f"/v1/whoami?key={example.keys['demo'].key}")
    assert (beacon.status_code, beacon.json()) == (202, {"store": "demo"})
    assert (with_header.status_code, elsewhere.status_code, in_query.status_code) == (202, 403, 401)


async def test_last_use_is_written_down_later(example: Example) -> None:
    made = await example.add_key("used", "demo", "orders:read")
    async with example.client("used") as client:
        await client.get("/v1/whoami")
    await example.runtime._save_last_uses()
    [(used_at,)] = await example.sql("SELECT last_used_at FROM access.keys WHERE id = :id", id=made.id)
    assert isinstance(used_at, datetime)


async def test_only_a_digest_of_a_key_is_kept(example: Example) -> None:
    rows = await example.sql("SELECT to_jsonb(k)::text FROM access.keys k")
    secrets = [made.key.rsplit("_", 1)[1] for made in example.keys.values()]
    assert not [row for row in rows for secret in secrets if secret in str(row[0])]


async def test_the_internal_key_is_good_for_stock_and_nothing_else(example: Example) -> None:
    internal = example.runtime.installation.internal_key
    caller = await example.runtime.keyring.principal(internal)
    assert caller == Principal("internal", "*", frozenset({"internal", "inventory:read", "inventory:write"}))


async def test_requests_cannot_read_keys_or_the_installation(example: Example) -> None:
    for table in ("keys", "installation"):
        async with example.runtime.api.begin("demo") as tx:
            with pytest.raises(Exception, match="permission denied"):
                await tx.session.execute(text(f"SELECT * FROM access.{table}"))


async def test_many_callers_share_one_look_up() -> None:
    asked = 0

    async def load(key_id: str) -> auth.KeptKey | None:
        nonlocal asked
        asked += 1
        return auth.KeptKey(Principal(key_id, "demo", frozenset(SCOPES)), key_hash(made.key), None, None)

    made = new_key("demo", ["orders:read"])
    keyring = Keyring(load, lambda: datetime.now(UTC))
    for _ in range(5):
        assert (await keyring.principal(made.key)).store == "demo"
    assert asked == 1


async def test_a_failed_look_up_is_not_kept() -> None:
    results: list[auth.KeptKey | Exception] = [ConnectionError("database away")]

    async def load(key_id: str) -> auth.KeptKey | None:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    made = new_key("demo", ["orders:read"])
    keyring = Keyring(load, lambda: datetime.now(UTC))
    with pytest.raises(ConnectionError):
        await keyring.principal(made.key)
    results.append(auth.KeptKey(Principal(made.id, "demo", frozenset()), key_hash(made.key), None, None))
    assert (await keyring.principal(made.key)).key_id == made.id
    with pytest.raises(Unauthenticated):
        await keyring.principal(made.key[:-1] + "x")
