"""From events to the facts that entities merge: pure, one branch an event type, nothing is decided here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from libs.events.codec import Envelope, data_json
from libs.events.contracts import (
    CampaignChanged,
    CampaignEnded,
    CampaignPlanned,
    CartAdded,
    CartRemoved,
    CheckoutStarted,
    ComplaintFiled,
    ExperimentStarted,
    ExperimentStopped,
    MeasureEntered,
    OrderAmended,
    OrderCancelled,
    OrderDelivered,
    OrderPaid,
    OrderPlaced,
    OrderReviewed,
    PageViewed,
    PaymentFailed,
    PaymentSucceeded,
    PolicyChanged,
    ProductFavorited,
    RefundIssued,
    ReturnReceived,
    ReturnRequested,
    ShipmentCreated,
    SkuChanged,
    SkuDelisted,
    SkuListed,
    StockLevel,
    StoreChanged,
    TargetSet,
)
from libs.events.contracts.base import Event
from services.kpi.calendar import microseconds
from services.kpi.engine import Batch, Key
from services.kpi.entities.fact import Fact
from services.kpi.entities.leaf import LeafKey
from services.kpi.entities.order import WRONG
from services.kpi.entities.sku import Fact as SkuFact
from services.kpi.entities.visitor import BOT, CART, CHECKOUT, FAVORITE, PRODUCT, STAFF, VIEW, Visit
from services.kpi.leaves import leaves_of
from services.kpi.marks import HOUR_US, Assignment, Level, Marks
from services.kpi.records import Visited, skus_of, visit_key

FUTURE: Final = timedelta(minutes=5)
"""An event dated further ahead than this of its acceptance is quarantined (D5)."""

TRAFFIC: Final[tuple[type[Event], ...]] = (PageViewed, CartAdded, CartRemoved, ProductFavorited, CheckoutStarted)
ORDERS: Final[tuple[type[Event], ...]] = (
    OrderPlaced,
    OrderPaid,
    PaymentSucceeded,
    PaymentFailed,
    OrderCancelled,
    OrderAmended,
    OrderDelivered,
    ShipmentCreated,
    ReturnRequested,
    ReturnReceived,
    RefundIssued,
    OrderReviewed,
)
CATALOG: Final[tuple[type[Event], ...]] = (SkuListed, SkuDelisted, SkuChanged)
DOCUMENTS: Final[tuple[type[Event], ...]] = (
    TargetSet,
    CampaignPlanned,
    CampaignChanged,
    CampaignEnded,
    ExperimentStarted,
    ExperimentStopped,
    MeasureEntered,
    PolicyChanged,
)
LEVELS: Final[tuple[type[Event], ...]] = (StockLevel,)
STORES: Final[tuple[type[Event], ...]] = (StoreChanged,)

TRAFFIC_ORIGINS: Final = "policy:traffic_origins"
_FLAGS: Final[Mapping[type[Event], int]] = {
    CartAdded: CART,
    CartRemoved: 0,
    ProductFavorited: FAVORITE,
    CheckoutStarted: CHECKOUT,
}
_DOCUMENT_KEYS: Final[Mapping[type[Event], tuple[str, tuple[str, ...]]]] = {
    TargetSet: ("target", ("target_id",)),
    CampaignPlanned: ("campaign", ("campaign",)),
    CampaignChanged: ("campaign", ("campaign",)),
    CampaignEnded: ("campaign", ("campaign",)),
    ExperimentStarted: ("experiment", ("experiment",)),
    ExperimentStopped: ("experiment", ("experiment",)),
    MeasureEntered: ("measure", ("metric", "day", "month", "source")),
}


@dataclass(frozen=True, slots=True)
class Document:
    """One version of something that is replaced as a whole; the greatest (time, recordedtime, id) is valid (D10)."""

    store: str
    kind: str
    id: str
    us: int
    recorded_us: int
    event_id: str
    body: dict[str, Any]


@dataclass(slots=True)
class Facts:
    """A batch of events, sorted out."""

    batch: Batch = field(default_factory=Batch)
    documents: list[Document] = field(default_factory=list)
    quarantined: list[Envelope[Any]] = field(default_factory=list)
    marks: Marks = field(default_factory=Marks)
    stores: dict[str, bool] = field(default_factory=dict)
    """store -> whether more than traffic is about it"""
    accepted: dict[str, datetime] = field(default_factory=dict)
    """store -> earliest acceptance"""


def facts_of(envelopes: Iterable[Envelope[Any]]) -> Facts:
    """Sort out a batch. An event from the future is quarantined and counts nowhere (D5)."""
    facts = Facts()
    visits, imports, accepted = facts.batch.visits, facts.batch.imports, facts.accepted
    for envelope in envelopes:
        event: Any = envelope.data
        kind = type(event)
        is_visit = kind is Visited or kind in TRAFFIC
        alone = not is_visit and kind is not StockLevel
        earliest = accepted.get(envelope.store)
        if alone or earliest is None or envelope.recorded_time < earliest:
            _mark(facts, envelope, alone=alone)
        if envelope.time > envelope.recorded_time and envelope.time > envelope.recorded_time + FUTURE:
            facts.quarantined.append(envelope)
            continue
        if envelope.import_id is not None:
            imports[envelope.id] = envelope.import_id
        if is_visit:
            visit = event.visit if kind is Visited else visit_of(envelope)
            visits[envelope.store, event.visitor_id].append(visit)
            if event.experiment is not None and not visit.excluded:
                _see(facts.marks, envelope, visit)
        else:
            _sort(facts, envelope)
    return facts


def _mark(facts: Facts, envelope: Envelope[Any], *, alone: bool) -> None:
    """Which stores the batch is about, whether more than traffic is, and the earliest acceptance of each."""
    store, accepted = envelope.store, envelope.recorded_time
    if alone or store not in facts.stores:
        facts.stores[store] = facts.stores.get(store, False) or alone
    if store not in facts.accepted or accepted < facts.accepted[store]:
        facts.accepted[store] = accepted


def _sort(facts: Facts, envelope: Envelope[Any]) -> None:
    event: Any = envelope.data
    us, recorded_us = microseconds(envelope.time), microseconds(envelope.recorded_time)
    if type(event) in ORDERS:
        facts.batch.orders[_key(envelope, event.order_id)].append(Fact(us, recorded_us, envelope.id, event))
    elif isinstance(event, SkuListed | SkuDelisted | SkuChanged):
        facts.batch.skus[_key(envelope, event.sku)].append(SkuFact(us, recorded_us, envelope.id, event))
    elif type(event) in DOCUMENTS:
        facts.documents.append(_document(envelope, us, recorded_us))
    elif isinstance(event, StockLevel):
        facts.marks.stand(Level(envelope.store, event.sku, us // HOUR_US, us, event.version, event.on_hand))
    else:
        _sort_leaves(facts, envelope, Fact(us, recorded_us, envelope.id, event))


def _sort_leaves(facts: Facts, envelope: Envelope[Any], fact: Fact) -> None:
    event = envelope.data
    for kind, key in leaves_of(event):
        facts.batch.leaves[LeafKey(envelope.store, kind, key)].append(fact)
    if isinstance(event, ComplaintFiled) and event.order_id is not None and event.kind in WRONG:
        facts.batch.orders[_key(envelope, event.order_id)].append(fact)


def _see(marks: Marks, envelope: Envelope[Any], visit: Visit) -> None:
    shown = envelope.data.experiment
    marks.see(Assignment(envelope.store, shown.id, envelope.data.visitor_id, visit.us, envelope.id, shown.variant))


def _key(envelope: Envelope[Any], name: str) -> Key:
    return envelope.store, name


def visit_of(envelope: Envelope[Any]) -> Visit:
    """A traffic event as the visitor's day keeps it."""
    event = envelope.data
    flags = _page_flags(event) if isinstance(event, PageViewed) else _FLAGS[type(event)]
    return Visit(
        microseconds(envelope.time),
        envelope.id,
        visit_key(envelope.source, envelope.id, data_json(event)),
        flags,
        skus_of(event.sku, getattr(event, "lines", None)),
        (event.channel, event.source, event.campaign, event.device),
        BOT if event.is_bot else (STAFF if event.is_staff else 0),
    )


def _page_flags(event: PageViewed) -> int:
    return VIEW | PRODUCT if event.page_kind == "product" else VIEW


def _document(envelope: Envelope[Any], us: int, recorded_us: int) -> Document:
    event = envelope.data
    if isinstance(event, PolicyChanged):
        kind, name = f"policy:{event.kind}", event.policy_id
    else:
        kind, fields = _DOCUMENT_KEYS[type(event)]
        name = "|".join(str(value) if (value := getattr(event, field)) is not None else "" for field in fields)
    body = event.model_dump(mode="json", by_alias=True, exclude_none=True)
    return Document(envelope.store, kind, name, us, recorded_us, envelope.id, {"type": event.TYPE, **body})


def cents_of(event: Event) -> int:
    """The money of a quarantined event (D64)."""
    for name in ("total_cents", "amount_cents", "spend_cents"):
        value = getattr(event, name, None)
        if value is not None:
            return int(value)
    return 0


def traffic_origins(bodies: Iterable[Mapping[str, Any]]) -> tuple[tuple[int, frozenset[str]], ...]:
    """(valid from, origins) of every version of the policy, latest first; bodies in the order of their stamps (D30)."""
    found: dict[int, frozenset[str]] = {}
    for body in bodies:
        after = body.get("after")
        value = after.get("value", ()) if isinstance(after, dict) else after
        named = value if isinstance(value, list) else ()
        found[valid_from_us(body)] = frozenset(map(str, named))
    return tuple(sorted(found.items(), reverse=True))


def valid_from_us(body: Mapping[str, Any]) -> int:
    """When a policy's version begins to hold."""

    return microseconds(datetime.fromisoformat(str(body["valid_from"])))


def note_origins(facts: Facts, changed: Iterable[Document]) -> None:
    """Have the orders placed since the change counted anew."""
    for document in changed:
        store, since = document.store, valid_from_us(document.body)
        facts.batch.origins_changed[store] = min(since, facts.batch.origins_changed.get(store, since))
        facts.batch.origin_events.setdefault(store, []).append(document.event_id)
