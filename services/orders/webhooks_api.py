"""The front door of other shops: their secrets, their webhooks, and what came of them (D53)."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import Path, Query
from pydantic import Field
from starlette.responses import JSONResponse, Response

from libs.events import strict_json
from libs.events.contracts import Currency, Sku
from libs.events.ids import uuid7
from libs.events.transaction import Transaction
from libs.service.audit import audit
from libs.service.call import Answer, Call, CallContext
from libs.service.errors import NotFound, Unauthenticated, Validation, fault
from libs.service.pagination import Page, listing
from libs.service.privacy import HIDDEN
from libs.service.routes import PUBLIC, Body, Router
from services.orders import inbox
from services.orders.equipment import Equipped
from services.orders.handlers import webhooks
from services.orders.handlers.placing import Kit
from services.orders.hooks import woocommerce
from services.orders.hooks.signatures import Kind, is_genuine, key_of
from services.orders.inbox import Delivery, Source
from services.orders.metrics import WEBHOOKS_REFUSED

router = Router(tag="webhooks")

StoreId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
Secret = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,256}$")]
ShopsCode = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,128}$")]
MOST_CODES = 20_000
PING = "application/x-www-form-urlencoded"


class SourceBody(Body):
    """A shop's secrets: two while they are rotated. `sku_map`: its codes or variant ids -> SKUs of the catalogue."""

    secrets: Annotated[tuple[Secret, ...], Field(min_length=1, max_length=2)]
    currency: Currency | None = None
    sku_map: Annotated[dict[ShopsCode, Sku], Field(max_length=MOST_CODES)] = Field(default_factory=dict)


@router.put("/v1/webhook-sources/{kind}", scope="orders:write")
async def put_source(kind: Kind, body: SourceBody, call: Call, kit: Equipped) -> Response:
    """Let a shop send webhooks: what is signed by one of these secrets is taken in. Secrets are never shown again."""
    if kind == "signed":
        _require_keys(body)

    async def action(tx: Transaction) -> Answer:
        before = await inbox.load_source(tx.session, tx.store, kind, lock=True)
        call.require_match(before.version if before else 0)
        source = Source(
            kind=kind,
            secrets=webhooks.seal_secrets(kit.sealer, tx.store, kind, body.secrets),
            secret_count=len(body.secrets),
            currency=body.currency,
            sku_map=body.sku_map,
            version=before.version + 1 if before else 1,
            changed_at=tx.now,
        )
        await inbox.save_source(tx.session, tx.store, source)
        shown = _source_body(source, tx.store)
        await audit(tx, call.actor, "webhook_source.put", f"webhook_source:{kind}", after=shown)
        return Answer(201 if before is None else 200, shown, etag=source.version)

    return await call.once(action)


@router.get("/v1/webhook-sources/{kind}", scope="orders:read")
async def show_source(kind: Kind, call: Call) -> Response:
    """The shop's source, its secrets masked (D83)."""
    async with call.read() as tx:
        source = await inbox.load_source(tx.session, tx.store, kind)
        if source is None:
            raise NotFound(f"no secrets of {kind} were set")
        body = _source_body(source, tx.store)
    return await call.reply(Answer(200, body, etag=source.version))


@router.post("/v1/webhooks/shopify/{store}", scope=PUBLIC, raw=True)
async def from_shopify(store: StoreId, call: Call, kit: Equipped) -> Response:
    """A webhook of Shopify, checked by `X-Shopify-Hmac-SHA256` over the raw body; answered at once, mapped later."""
    topic = _header(call, "x-shopify-topic")
    event = _header(call, "x-shopify-event-id") or _header(call, "x-shopify-webhook-id") or _digest(call)
    return await _receive(call.for_store(store), kit, "shopify", topic, lambda: f"{topic}:{event}")


@router.post("/v1/webhooks/woocommerce/{store}", scope=PUBLIC, raw=True)
async def from_woocommerce(store: StoreId, call: Call, kit: Equipped) -> Response:
    """A webhook of WooCommerce, checked by `X-WC-Webhook-Signature`; the unsigned form that it sends when a webhook is
    saved gets its 200, and has no effect.
    """
    if call.content_type == PING and call.content.startswith(b"webhook_id="):
        return JSONResponse({"status": "pong"})
    topic = _header(call, "x-wc-webhook-topic")
    return await _receive(call.for_store(store), kit, "woocommerce", topic, lambda: _resource(call, topic))


@router.post("/v1/webhooks/signed/{store}", scope=PUBLIC, raw=True)
async def from_anyone(store: StoreId, call: Call, kit: Equipped) -> Response:
    """A message of Standard Webhooks, at most 5 minutes old: an order as in `POST /v1/orders`, with its `type`."""
    name = _header(call, "webhook-id")
    return await _receive(call.for_store(store), kit, "signed", "order", lambda: name)


DeliveryStatus = Literal["received", "mapped", "ignored", "quarantined", "failed"]


@router.get("/v1/webhook-deliveries", scope="orders:read")
async def list_deliveries(call: Call, page: Page, status: Annotated[DeliveryStatus | None, Query()] = None) -> Response:
    """What shops have sent and what came of it, newest first."""
    await call.store_info()
    after = page.after(datetime, str)
    async with call.read() as tx:
        found = await inbox.list_deliveries(
            tx.session, tx.store, status=status, after=(after[0], after[1]) if after else None, limit=page.fetch
        )
    shown, cursor = listing(page, found, lambda row: (row["received_at"], row["webhook_id"]))
    return await call.page(shown, cursor)


@router.post("/v1/webhook-deliveries/{webhook_id}/retry", scope="orders:write")
async def retry_delivery(webhook_id: str, call: Call) -> Response:
    """Map a message that failed once more, after what was wrong has been mended (a SKU map, a currency)."""

    async def action(tx: Transaction) -> Answer:
        before = await inbox.retry_delivery(tx.session, tx.store, webhook_id, tx.now)
        if before is None:
            raise NotFound("there is no such delivery, or its body was deleted")
        return Answer(200, {"webhook_id": webhook_id, "status": "received" if before == "failed" else before})

    return await call.once(action)


# inside


def _require_keys(body: SourceBody) -> None:
    for n, secret in enumerate(body.secrets):
        try:
            is_key = bool(key_of(secret))
        except ValueError:
            is_key = False
        if not is_key:
            message = "whsec_ and base64"
            raise Validation("no secret of Standard Webhooks", errors=[fault(f"/secrets/{n}", "secret", message)])


def _source_body(source: Source, store: str) -> dict[str, Any]:
    return {
        "kind": source.kind,
        "secrets": [HIDDEN] * source.secret_count,
        "currency": source.currency,
        "sku_map": dict(source.sku_map),
        "path": f"/v1/webhooks/{source.kind}/{quote(store, safe=':')}",
        "version": source.version,
        "changed_at": source.changed_at,
    }


def _header(call: CallContext, name: str) -> str:
    """A header as a short text."""
    return "".join(c for c in call.request.headers.get(name, "") if c.isprintable())[:200]


def _digest(call: CallContext) -> str:
    return hashlib.sha256(call.content).hexdigest()


def _resource(call: CallContext, topic: str) -> str:
    """The resource and when it was modified; with the body's digest, since two changes may share a second."""
    try:
        named = woocommerce.dedup_key(topic, strict_json.loads(call.content))
    except strict_json.InvalidJson:
        named = None
    return f"{named or topic}:{_digest(call)[:16]}"


async def _receive(call: CallContext, kit: Kit, kind: Kind, topic: str, name: Callable[[], str]) -> Response:
    now = call.runtime.clock()
    async with call.read() as tx:
        source = await inbox.load_source(tx.session, tx.store, kind)
    secrets = webhooks.open_secrets(kit.sealer, call.store, source) if source else []
    headers: Mapping[str, str] = call.request.headers
    if not is_genuine(kind, secrets, headers, call.content, now):
        WEBHOOKS_REFUSED.labels(kind).inc()
        raise Unauthenticated("no valid signature")
    delivery = Delivery(uuid7(now), kind, name(), topic, call.content, now)
    async with call.begin() as tx:
        await webhooks.receive(delivery, tx, kit.sealer)
    return JSONResponse({"status": "accepted"})
